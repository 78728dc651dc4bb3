"""From weights to measurements: several at a time, each read, decoded and measured."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from normcli import linalg
from normcli.measure.exact import check_exact
from normcli.measure.metrics import METRICS
from normcli.measure.subject import Subject
from normcli.records import STALE, Measurement, NormState, StateValues
from normcli.reparam import decode, problem
from normcli.selection import matcher
from normcli.stream import ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from normcli.formats.base import Checkpoint
    from normcli.measure.subject import Options
    from normcli.records import Axis, TensorRef, Weight

_SHORT = 100 * 100  # entries up to which a weight takes under a millisecond
_BATCH = 64  # short weights that are handed to a worker together
_PIECE = 4 << 20  # bytes that a weight takes which is measured piece by piece


def measure(
    checkpoint: Checkpoint,
    weights: Sequence[Weight],
    options: Options,
    *,
    jobs: int,
    budget: int,
) -> Iterator[Measurement]:
    """A measurement of each weight, in order, `jobs` at a time within `budget` bytes.

    Raises:
        UsageError: A spectral norm cannot be computed as the options ask for it.
    """
    check_exact(options)
    axis_of = _axis_choice(options.dims or {})

    def work(batch: Sequence[Weight]) -> list[Measurement]:
        torch.set_num_threads(1)  # counts for this thread only if said in it
        return [measure_weight(checkpoint, each, options, axis_of(each)) for each in batch]

    with _torch_threads_restored():
        for measurements in ordered_map(
            work,
            batches(weights),
            workers=max(1, min(jobs, len(weights))),
            cost=lambda batch: sum(cost(each, options) for each in batch),
            budget=budget,
            short=lambda batch: _is_short(batch[0]),
        ):
            yield from measurements


def batches(weights: Sequence[Weight]) -> Iterator[Sequence[Weight]]:
    """Weights in order: each one alone, but neighbours that are short together."""
    batch: list[Weight] = []
    for weight in weights:
        short = _is_short(weight)
        if batch and (not short or len(batch) == _BATCH):
            yield batch
            batch = []
        if short:
            batch.append(weight)
        else:
            yield [weight]
    if batch:
        yield batch


def _is_short(weight: Weight) -> bool:
    return weight.parameters <= _SHORT


@contextmanager
def _torch_threads_restored() -> Iterator[None]:
    """Give torch its number of threads back, once every worker has limited itself to one.

    One thread a weight: the numbers of a weight then depend on nothing but the weight (some of
    torch's kernels sum by threads), and pools that each believe to own the machine do not wait for
    each other: on two busy processors that made a pass up to 60 times slower.
    """
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cost(weight: Weight, options: Options) -> int:
    """Bytes in memory while the weight is measured: its parts, its copies, its Gram matrix."""
    if isinstance(weight, NormState):
        copies = 3  # the parts, their product, its matrix
    elif options.one_pass:
        return _PIECE
    else:
        copies = 1
    needs_gram = not options.metrics.isdisjoint({"spectral_norm", "stable_rank", "state"})
    gram = 4 * 8 * min(linalg.matrix_shape(weight.shape, 0)) ** 2 if needs_gram else 0
    return copies * weight.nbytes + gram


def _axis_choice(dims: Mapping[str, Axis]) -> Callable[[Weight], Axis | str]:
    rows = [(matcher([pattern]), axis) for pattern, axis in dims.items()]
    return lambda weight: next((axis for matches, axis in rows if matches(weight)), "auto")


def measure_weight(
    checkpoint: Checkpoint, weight: Weight, options: Options, axis: Axis | str = "auto"
) -> Measurement:
    """Read, decode and measure one weight; what goes wrong with its norm is a note."""
    if isinstance(weight, NormState):
        return _measure_state(checkpoint, weight, options, axis)
    return _measure_plain(checkpoint, weight, options, axis)


def _measure_plain(
    checkpoint: Checkpoint, ref: TensorRef, options: Options, axis: Axis | str
) -> Measurement:
    notes = [ref.note] if ref.note else []
    rows = _rows(ref, axis, notes)
    return _measured(ref, Subject(checkpoint, ref.name, rows, None, options), notes)


def _rows(weight: Weight, axis: Axis | str, notes: list[str]) -> Axis:
    """The row axis asked for, 0 without one or where the weight has no such axis."""
    if isinstance(axis, str) or axis is None:
        return 0
    if 0 <= axis < max(1, len(weight.shape)):
        return axis
    notes.append(f"axis {axis} was asked for, but the weight has {len(weight.shape)} axes")
    return 0


def _measure_state(
    checkpoint: Checkpoint, state: NormState, options: Options, axis: Axis | str
) -> Measurement:
    trouble = problem(state, axis)
    if trouble:
        return _unmeasured(state, trouble)
    names = {part.name for norm in (state, *state.stack) for part in norm.parts.values()}
    decoded = decode(state, {name: checkpoint.read(name) for name in sorted(names)}, axis)
    notes = list(decoded.notes)
    rows = decoded.axis if state.family == "spectral" else _rows(state, axis, notes)
    return _measured(state, Subject(checkpoint, state.name, rows, decoded, options), notes)


def _unmeasured(state: NormState, trouble: str) -> Measurement:
    """A state that has no effective weight that anybody could tell."""
    return Measurement(
        section=state.section,
        key=state.key,
        shape=state.shape,
        dtype=state.dtype,
        parameters=state.parameters,
        state=StateValues(state.family, state.layout),
        notes=(trouble, *state.notes),
    )


def _measured(weight: Weight, subject: Subject, notes: list[str]) -> Measurement:
    wanted = subject.options.metrics
    values = {name: METRICS[name](subject) for name in METRICS if name in wanted}
    values.setdefault("state", subject.decoded.values if subject.decoded else None)
    measurement = Measurement(
        section=weight.section,
        key=weight.key,
        shape=weight.shape,
        dtype=weight.dtype,
        parameters=weight.parameters,
        matrix_shape=linalg.matrix_shape(weight.shape, subject.axis),
        **values,  # type: ignore[arg-type]  # each metric gives what its field holds
    )
    return replace(measurement, notes=(*_troubles(measurement), *notes))


def _troubles(measurement: Measurement) -> Iterator[str]:
    """What the numbers say is wrong, worst first."""
    if measurement.nan:
        yield f"{measurement.nan} of {measurement.parameters} entries are NaN"
    if measurement.inf:
        yield f"{measurement.inf} of {measurement.parameters} entries are infinite"
    if measurement.parameters and measurement.frobenius == 0:
        yield "all zero"
    elif measurement.zero_rows and measurement.matrix_shape:
        yield f"{measurement.zero_rows} of {measurement.matrix_shape[0]} rows are zero"
    state = measurement.state
    for norm in state.stack or (state,) if state else ():
        if norm.staleness is not None and not abs(norm.staleness) <= STALE:
            yield (
                f"stale u and v: stored σ is {norm.sigma_stored:.4g}, "
                f"σ₁ of the original {norm.original_spectral_norm:.4g}"
            )
