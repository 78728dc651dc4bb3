"""Every weight of a checkpoint → a measurement: what is read, decoded and computed for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from normcli import linalg
from normcli.records import Measurement, NormState, PowerIteration, StateValues
from normcli.reparam import decode, problem
from normcli.selection import matcher
from normcli.stream import ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from normcli.formats.base import Checkpoint
    from normcli.records import Axis, SpectralNorm, TensorRef, Weight
    from normcli.reparam import Decoded

_STALE = 0.05  # 1 − σ_stored/σ₁ beyond which u and v are called stale
_TORCH_INIT_STEPS = 15  # steps that torch's parametrized spectral norm starts with


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, and how.

    Attributes:
        metrics: Keys of `METRICS`.
        power_iterations: Steps; None is 1 from a stored u and 15 from a random start.
        seed: Of the random start.
        dims: Glob → row axis, first match wins.
    """

    metrics: frozenset[str]
    power_iterations: int | None = None
    seed: int = 0
    dims: Mapping[str, Axis] | None = None


class Subject:
    """One weight while it is measured: every number is computed at most once, and only if asked."""

    def __init__(
        self, weight: Tensor, axis: Axis, decoded: Decoded | None, options: Options
    ) -> None:
        self.weight = weight
        self.decoded = decoded
        self.options = options
        self.axis = axis

    @cached_property
    def matrix(self) -> Tensor:
        """The effective weight with its row axis first."""
        return linalg.as_matrix(self.weight, self.axis)

    @cached_property
    def census(self) -> linalg.Census:
        """One pass: ‖W‖_F, NaN, Inf."""
        return linalg.census(self.weight)

    @cached_property
    def spectral_norm(self) -> SpectralNorm:
        """Exact σ₁ of the matrix."""
        return linalg.spectral_norm(self.matrix)

    @cached_property
    def power_iteration(self) -> PowerIteration:
        """The estimate in the update order of the layout."""
        vectors = self.decoded.vectors if self.decoded else None
        layout = self.decoded.values.layout if self.decoded else "parametrized"
        steps = self.options.power_iterations
        if steps is None:
            steps = _TORCH_INIT_STEPS if vectors is None else 1
        value = linalg.power_iteration(
            self.matrix,
            iterations=steps,
            start=vectors,
            legacy=vectors is not None and layout != "parametrized",
            seed=self.options.seed,
        )
        return PowerIteration(value, steps, "random" if vectors is None else "stored")


def _power_iteration(subject: Subject) -> PowerIteration:
    """With its relative error where σ₁ is asked for as well: alone it must not pay for it."""
    estimate = subject.power_iteration
    if "spectral_norm" not in subject.options.metrics or not subject.spectral_norm.value > 0:
        return estimate
    return replace(estimate, relative_error=1 - estimate.value / subject.spectral_norm.value)


def _stable_rank(subject: Subject) -> float | None:
    sigma = subject.spectral_norm.value
    if sigma == 0:
        return None
    ratio = subject.census.frobenius / sigma
    return ratio * ratio


def _state(subject: Subject) -> StateValues | None:
    return _with_original(subject.decoded) if subject.decoded else None


def _with_original(decoded: Decoded) -> StateValues:
    """The numbers of a state with the exact σ₁ of what is stored, for each norm of a stack."""
    stack = tuple(_with_original(each) for each in decoded.stack)
    values = replace(decoded.values, stack=tuple(each for each in stack))
    if decoded.original is None:
        return values
    exact = linalg.spectral_norm(linalg.as_matrix(decoded.original, decoded.axis)).value
    values = replace(values, original_spectral_norm=exact)
    if values.sigma_stored is None or not exact > 0:
        return values
    return replace(values, staleness=1 - values.sigma_stored / exact)


METRICS: Mapping[str, Callable[[Subject], object]] = {
    "frobenius": lambda subject: subject.census.frobenius,
    "nan": lambda subject: subject.census.nan,
    "inf": lambda subject: subject.census.inf,
    "zero_rows": lambda subject: linalg.zero_rows(subject.matrix),
    "spectral_norm": lambda subject: subject.spectral_norm,
    "power_iteration": _power_iteration,
    "stable_rank": _stable_rank,
    "state": _state,
}


def measure(
    checkpoint: Checkpoint,
    weights: Sequence[Weight],
    options: Options,
    *,
    workers: int,
    budget: int,
) -> Iterator[Measurement]:
    """A measurement of each weight, in order, several at a time within `budget` bytes."""
    axis_of = _axis_choice(options.dims or {})
    return ordered_map(
        lambda weight: measure_weight(checkpoint, weight, options, axis_of(weight)),
        weights,
        workers=workers,
        cost=lambda weight: cost(weight, options),
        budget=budget,
    )


def cost(weight: Weight, options: Options) -> int:
    """Bytes in memory while the weight is measured: its parts, its copies, its Gram matrix."""
    rows, columns = linalg.matrix_shape(weight.shape, 0)
    copies = 2 if isinstance(weight, NormState) else 1
    gram = 4 * 8 * min(rows, columns) ** 2 if "spectral_norm" in options.metrics else 0
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
    subject = Subject(checkpoint.read(ref.name), rows, None, options)
    return _measured(ref, subject, notes)


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
    subject = Subject(decoded.weight, rows, decoded, options)
    return _measured(state, subject, notes)


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
    state = subject.decoded.values if subject.decoded else None
    if "state" in values:
        state = values.pop("state")
    measurement = Measurement(
        section=weight.section,
        key=weight.key,
        shape=weight.shape,
        dtype=weight.dtype,
        parameters=weight.parameters,
        matrix_shape=linalg.matrix_shape(weight.shape, subject.axis),
        state=state,
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
        if norm.staleness is not None and not abs(norm.staleness) <= _STALE:
            yield (
                f"stale u and v: stored σ {norm.sigma_stored:.4g} is {norm.staleness:+.1%} off "
                f"σ₁ = {norm.original_spectral_norm:.4g} of the original"
            )
