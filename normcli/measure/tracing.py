"""One weight from the file to its trace: read, decoded, iterated with, compared with σ₁."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from normcli import linalg
from normcli.errors import CheckpointError, UsageError
from normcli.formats.spelling import quoted
from normcli.measure.axes import row_axis
from normcli.records import TOLERANCES, NormState, Trace, TraceStep
from normcli.reparam import problem, read_state
from normcli.selection import axis_choice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from normcli.formats.base import Checkpoint
    from normcli.records import Axis, SpectralNorm, StateValues, TensorRef, Weight


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """What `trace` was asked for; the attributes are its options."""

    iterations: int
    seed: int
    rtol: float
    certificate: str
    failure_probability: float
    dims: Mapping[str, Axis] | None


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is iterated with.

    Attributes:
        matrix: Of the original under a spectral norm, else of the effective weight.
        vectors: Stored u and v; None for a random start.
        legacy: Whether v is updated before u, as in every layout but torch's parametrization.
        state: Numbers of the norm state; None for a plain weight.
        notes: Sentences, worst first.
    """

    matrix: Tensor
    vectors: tuple[Tensor, Tensor] | None = None
    legacy: bool = False
    state: StateValues | None = None
    notes: tuple[str, ...] = ()


def traced(checkpoint: Checkpoint, weight: Weight, request: TraceRequest) -> Trace:
    """The trace of a weight of an opened checkpoint.

    Raises:
        CheckpointError: A norm state from which no effective weight can be told.
        UsageError: A request that cannot be meant.
    """
    linalg.check_request(request.rtol, request.certificate, request.failure_probability)
    if request.iterations < 0:
        raise UsageError(f"iterations is {request.iterations}, expected 0 or more")
    with linalg.one_torch_thread():
        subject = _subject(checkpoint, weight, axis_choice(request.dims or {})(weight))
        norm = linalg.spectral_norm(
            subject.matrix,
            rtol=request.rtol,
            certificate=request.certificate,
            failure_probability=request.failure_probability,
            seed=request.seed,
        )
        steps = linalg.power_steps(
            subject.matrix,
            iterations=request.iterations,
            start=subject.vectors,
            legacy=subject.legacy,
            seed=request.seed,
        )
        return _trace(checkpoint.path, weight.name, subject, norm, steps)


def _trace(
    path: str, name: str, subject: _Subject, norm: SpectralNorm, steps: linalg.Steps
) -> Trace:
    iterations = tuple(
        TraceStep(n, value, 1 - value / norm.value if norm.value > 0 else None)
        for n, value in enumerate(steps.values)
    )
    predicted, unresolved = _predicted(subject, norm, iterations, steps)
    rows, columns = subject.matrix.shape
    return Trace(
        path=path,
        name=name,
        matrix_shape=(rows, columns),
        start="random" if subject.vectors is None else "stored",
        spectral_norm=norm,
        steps=iterations,
        gap=_gap(subject, norm, steps),
        predicted=predicted,
        state=subject.state,
        notes=(*_troubles(norm), *unresolved, *subject.notes),
    )


def _predicted(
    subject: _Subject, norm: SpectralNorm, iterations: tuple[TraceStep, ...], steps: linalg.Steps
) -> tuple[dict[str, int | None], list[str]]:
    """Steps to each tolerance, and a note for each that rounding keeps from being predicted."""
    found = {key: _first_within(iterations, limit) for key, limit in TOLERANCES.items()}
    missing = [key for key, count in found.items() if count is None]
    if not (norm.value > 0 and missing):
        return found, []
    dtype = steps.end[0].dtype
    finest = torch.finfo(dtype).eps / 2
    told = [key for key in missing if TOLERANCES[key] >= finest]
    goals = [norm.value * (1 - TOLERANCES[key]) for key in told]
    more = linalg.predicted_steps(subject.matrix, steps.end, goals, legacy=subject.legacy)
    taken = len(iterations) - 1
    found |= {key: n and taken + n for key, n in zip(told, more, strict=True)}
    unresolved = [
        f"not predicted to {TOLERANCES[key]:.1%}: {str(dtype).removeprefix('torch.')} rounds "
        f"σ̂ to {finest:.1%}".replace("%", " %")
        for key in missing
        if key not in told
    ]
    return found, unresolved


def _first_within(iterations: tuple[TraceStep, ...], limit: float) -> int | None:
    """The first step with |1 − σ̂/σ₁| ≤ limit; σ̂ is above σ₁ by rounding, or where ‖u‖ > 1."""
    errors = ((each.n, each.relative_error) for each in iterations)
    return next((n for n, error in errors if error is not None and abs(error) <= limit), None)


def _gap(subject: _Subject, norm: SpectralNorm, steps: linalg.Steps) -> float | None:
    if norm.gap is not None or not norm.value > 0:
        return norm.gap
    return linalg.ritz_gap(subject.matrix, steps.start, legacy=subject.legacy)


def _troubles(norm: SpectralNorm) -> list[str]:
    if norm.value == 0:
        return ["all zero" if norm.method == "zero" else "no entries"]
    return [] if norm.value > 0 else ["entries are NaN or infinite"]


def _subject(checkpoint: Checkpoint, weight: Weight, axis: Axis | str) -> _Subject:
    if isinstance(weight, NormState):
        return _of_state(checkpoint, weight, axis)
    return _of_plain(checkpoint, weight, axis)


def _of_plain(checkpoint: Checkpoint, ref: TensorRef, axis: Axis | str) -> _Subject:
    rows, notes = row_axis(ref, axis)
    matrix = linalg.as_matrix(checkpoint.read(ref.name), rows)
    return _Subject(matrix, notes=(*notes, ref.note) if ref.note else tuple(notes))


def _of_state(checkpoint: Checkpoint, state: NormState, axis: Axis | str) -> _Subject:
    trouble = problem(state, axis)
    if trouble:
        raise CheckpointError(f"{quoted(state.name)}: {trouble}", where=checkpoint.path)
    decoded = read_state(checkpoint.read, state, axis)
    if decoded.original is not None and decoded.vectors is not None:
        matrix = linalg.as_matrix(decoded.original, decoded.axis)
        legacy = decoded.values.layout != "parametrized"
        return _Subject(matrix, decoded.vectors, legacy, decoded.values, decoded.notes)
    rows, notes = row_axis(state, axis)
    matrix = linalg.as_matrix(decoded.weight, rows)
    return _Subject(matrix, state=decoded.values, notes=(*decoded.notes, *notes))
