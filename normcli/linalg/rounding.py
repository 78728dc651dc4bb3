"""Rounding of float64, and ends of a bracket that have it behind them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from normcli.records import SpectralNorm

if TYPE_CHECKING:
    from torch import Tensor

UNIT = 2.0**-53  # unit roundoff of float64
FROBENIUS_ROUNDING = 1e-10  # of a Frobenius norm that is summed by panels in float64, at most


def gamma(terms: int) -> float:
    """γₖ = ku/(1 − ku), the relative error of a sum of k products in float64."""
    return terms * UNIT / (1 - terms * UNIT)


def outward(
    lower: float,
    value: float,
    upper: float,
    *,
    scale: tuple[float, float] = (1.0, 1.0),
    failure_probability: float = 0.0,
    method: str,
    passes: int,
    gap: float | None,
    u: Tensor | None = None,
    v: Tensor | None = None,
) -> SpectralNorm:
    """The bracket of W from that of W′ = W · first · second.

    Its ends are one float further out: a product with a power of two may be subnormal.
    """
    lower, value, upper = (
        each / scale[0] / scale[1] for each in (max(lower, 0.0), min(value, upper), upper)
    )
    return SpectralNorm(
        value=value,
        lower=math.nextafter(lower, 0.0),
        upper=math.nextafter(upper, math.inf),
        failure_probability=failure_probability,
        method=method,
        passes=passes,
        gap=gap,
        u=u,
        v=v,
    )
