"""From weights to measurements: several at a time, each read, decoded and measured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from normcli import linalg
from normcli.measure.axes import row_axis
from normcli.measure.exact import check_exact
from normcli.measure.metrics import METRICS
from normcli.measure.short import compute_together
from normcli.measure.subject import Subject
from normcli.records import STALE, Measurement, NormState, StateValues
from normcli.reparam import problem, read_state
from normcli.selection import axis_choice
from normcli.stream import ordered_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from normcli.formats.base import Checkpoint
    from normcli.measure.subject import Options
    from normcli.records import Axis, Weight

_SHORT = 100 * 100  # entries up to which a weight takes under a millisecond
_BATCH = 256  # short weights that are handed to a worker together
_BATCH_ENTRIES = 1 << 18  # of them: 2 MB in float64
_STACKS = 4  # copies in float64 that short weights are measured from together
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
    axis_of = axis_choice(options.dims or {})

    def work(batch: Sequence[Weight]) -> list[Measurement]:
        linalg.limit_this_thread()
        axes = [axis_of(weight) for weight in batch]
        return measure_batch(checkpoint, batch, options, axes)

    with linalg.one_torch_thread():
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
    entries = 0
    for weight in weights:
        more = weight.parameters
        full = len(batch) == _BATCH or entries + more > _BATCH_ENTRIES
        if batch and (full or more > _SHORT):
            yield batch
            batch, entries = [], 0
        if more > _SHORT:
            yield [weight]
        else:
            batch.append(weight)
            entries += more
    if batch:
        yield batch


def _is_short(weight: Weight) -> bool:
    return weight.parameters <= _SHORT


def cost(weight: Weight, options: Options) -> int:
    """Bytes in memory while the weight is measured: its parts, its copies, what σ₁ takes."""
    short = _is_short(weight)
    if options.one_pass and not short and not isinstance(weight, NormState):
        return _PIECE
    copies = 3 if isinstance(weight, NormState) else 1  # the parts, their product, its matrix
    stacked = _STACKS * 8 * weight.parameters if short else 0
    return copies * weight.nbytes + stacked + _exact_memory(weight, options)


def _exact_memory(weight: Weight, options: Options) -> int:
    if options.metrics.isdisjoint({"spectral_norm", "stable_rank", "state"}):
        return 0
    return linalg.spectral_norm_memory(*linalg.matrix_shape(weight.shape, 0), options.certificate)


def measure_batch(
    checkpoint: Checkpoint,
    batch: Sequence[Weight],
    options: Options,
    axes: Sequence[Axis | str],
) -> list[Measurement]:
    """Read, decode and measure some weights; what goes wrong with a norm is a note."""
    read = [_read(checkpoint, *each, options) for each in zip(batch, axes, strict=True)]
    short = [each for each in read if isinstance(each, Subject) and _is_short(each.record)]
    if short:
        compute_together(short)
    return [_measured(each) if isinstance(each, Subject) else each for each in read]


def _read(
    checkpoint: Checkpoint, weight: Weight, axis: Axis | str, options: Options
) -> Subject | Measurement:
    """The weight ready to be measured, or already all that can be told of it."""
    if isinstance(weight, NormState):
        return _decoded(checkpoint, weight, axis, options)
    rows, notes = row_axis(weight, axis)
    notes = [weight.note, *notes] if weight.note else notes
    return Subject(checkpoint, weight, rows, None, options, notes=notes)


def _decoded(
    checkpoint: Checkpoint, state: NormState, axis: Axis | str, options: Options
) -> Subject | Measurement:
    trouble = problem(state, axis)
    if trouble:
        return _unmeasured(state, trouble)
    decoded = read_state(checkpoint.read, state, axis)
    rows, notes = (decoded.axis, []) if state.family == "spectral" else row_axis(state, axis)
    return Subject(checkpoint, state, rows, decoded, options, notes=[*decoded.notes, *notes])


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
        problem=trouble,
    )


def _measured(subject: Subject) -> Measurement:
    weight, wanted = subject.record, subject.options.metrics
    values = {name: METRICS[name](subject) for name in METRICS if name in wanted}
    values.setdefault("state", subject.decoded.values if subject.decoded else None)
    measurement = Measurement(
        section=weight.section,
        key=weight.key,
        shape=weight.shape,
        dtype=weight.dtype,
        parameters=weight.parameters,
        matrix_shape=linalg.matrix_shape(weight.shape, subject.axis),
        problem="" if isinstance(weight, NormState) else weight.problem,
        **values,  # type: ignore[arg-type]  # each metric gives what its field holds
    )
    notes = (*_troubles(measurement), *subject.notes)
    return replace(measurement, notes=notes) if notes else measurement


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
