"""What a power iteration does to one weight, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from normcli.records.measurement import plain, record_of, state_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normcli.records.measurement import SpectralNorm, StateValues

# Relative errors whose steps are told, as JSON spells them.
TOLERANCES: Mapping[str, float] = MappingProxyType({"0.01": 0.01, "0.001": 0.001})


@dataclass(frozen=True, slots=True)
class TraceStep:
    """σ̂ after one step.

    Attributes:
        n: Steps done; 0 is the start.
        value: σ̂ = uᵀWv.
        relative_error: 1 − σ̂/σ₁; None where σ₁ is 0 or not a number.
    """

    n: int
    value: float
    relative_error: float | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """The power iteration of one weight beside its exact σ₁.

    Attributes:
        path: As the user gave it.
        name: `SECTION/KEY` of the weight.
        matrix_shape: (m, n) of the matrix that is iterated with.
        start: `stored` (a spectral-norm state's own u and v; the matrix is then its original) or
            `random` (seeded; the matrix is then that of the effective weight).
        spectral_norm: Exact σ₁ of the matrix with its bracket.
        steps: The start (n = 0), then one a step.
        gap: σ₂/σ₁; None where there is no such number.
        predicted: Key of `TOLERANCES` → steps after which |1 − σ̂/σ₁| is first within it, counted
            where `steps` reach it, else predicted; None where 10⁶ steps do not or it cannot
            be told.
        state: Of its norm state; None for a plain weight.
        notes: Sentences about this weight, worst first.
    """

    path: str
    name: str
    matrix_shape: tuple[int, int]
    start: str
    spectral_norm: SpectralNorm
    steps: tuple[TraceStep, ...]
    gap: float | None
    predicted: Mapping[str, int | None]
    state: StateValues | None = None
    notes: tuple[str, ...] = ()

    @property
    def iterations(self) -> tuple[TraceStep, ...]:
        """The steps without the start."""
        return self.steps[1:]

    def to_records(self) -> list[dict[str, Any]]:
        """One plain dictionary for the start and each step: ready for a data frame."""
        return [
            {
                "n": each.n,
                "value": plain(each.value),
                "relative_error": plain(each.relative_error),
            }
            for each in self.steps
        ]

    def to_dict(self) -> dict[str, Any]:
        """The trace as in the JSON document (schema `normcli.trace`, version 1)."""
        record: dict[str, Any] = {
            "path": self.path,
            "name": self.name,
            "matrix_shape": list(self.matrix_shape),
            "state": None if self.state is None else state_record(self.state),
            "start": self.start,
            "start_value": plain(self.steps[0].value),
            "spectral_norm": record_of(self.spectral_norm),
            "iterations": self.to_records()[1:],
            "gap": self.gap,
            "predicted": dict(self.predicted),
            "notes": list(self.notes) or None,
        }
        return {name: value for name, value in record.items() if value is not None or name == "gap"}
