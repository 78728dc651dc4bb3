"""What a baseline has recorded of a weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from normcli.records.header import Shape

BASELINE_NAME = "normcli-baseline.json"  # in the working directory, where no other is named


@dataclass(frozen=True, slots=True)
class Recorded:
    """One weight of a baseline; numbers have six significant digits, None is not recorded.

    Attributes:
        shape: Of the weight.
        dtype: Of the weight.
        state: `spectral legacy`, `weight parametrized+spectral parametrized`; empty for a plain
            weight.
        frobenius: ‖W‖_F of the effective weight.
        spectral_norm: σ₁ of the effective weight.
        stable_rank: ‖W‖_F²/σ₁².
    """

    shape: Shape
    dtype: str
    state: str = ""
    frobenius: float | None = None
    spectral_norm: float | None = None
    stable_rank: float | None = None
