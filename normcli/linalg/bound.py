"""How large λ₁ of a Hermitian matrix can still be, after so many block Lanczos steps."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from normcli.linalg.krylov import Ritz

_SCAN = 32  # points of one scan over log(x/θ − 1)
_CLOSEST = 1e-12  # x/θ − 1 at which a scan begins
_FARTHEST = 1e12  # and ends: there g has long been a falling power of x
_UNCLEAR = 1e-6  # ratio of pivots below which a Cholesky factor of I + ZᴴZ has lost the I
_REFINED = 4  # scans, each within one step of the one before: 32⁻⁴ of the first range


@lru_cache(maxsize=256)
def smallest_component(
    side: int, block: int, failure_probability: float, *, complex_: bool
) -> float:
    """δ²: ‖Q₁ᴴv‖² ≥ δ² for any unit vector v, except with the failure probability.

    Q₁ is a random orthonormal basis of `block` columns out of `side` dimensions (Haar), so that
    ‖Q₁ᴴv‖² has the distribution Beta(b/2, (n − b)/2), over the complex numbers Beta(b, n − b).
    """
    if block >= side:
        return 1.0
    half = 1.0 if complex_ else 0.5
    return beta_quantile(half * block, half * (side - block), failure_probability)


def beta_quantile(a: float, b: float, probability: float) -> float:
    """The x with I_x(a, b) = probability, I the regularized incomplete beta function.

    Newton's method on log I as a function of log x, which is increasing and concave.
    """
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    goal = math.log(probability)
    log_x = min((goal + math.log(a) + log_beta) / a, math.log(a / (a + b)))
    for _ in range(100):
        x = math.exp(log_x)
        log_value = _log_incomplete_beta(x, a, b) - log_beta
        slope = math.exp(a * log_x + (b - 1) * math.log1p(-x) - log_beta - log_value)
        step = (goal - log_value) / slope
        log_x = min(log_x + step, 0.5 * log_x)
        if abs(step) < 1e-14:
            break
    return math.exp(log_x)


def _log_incomplete_beta(x: float, a: float, b: float) -> float:
    """Log of ∫₀ˣ tᵃ⁻¹(1 − t)ᵇ⁻¹dt, by the series xᵃ(1 − x)ᵇ/a · Σ (a + b)ₖ/(a + 1)ₖ xᵏ."""
    total = term = 1.0
    k = 0
    while term > 1e-17 * total:
        term *= x * (a + b + k) / (a + 1 + k)
        total += term
        k += 1
    return a * math.log(x) + b * math.log1p(-x) - math.log(a) + math.log(total)


def component_bound(ritz: Ritz, points: Tensor) -> Tensor:
    """g(x): if λ₁ were x > θ, then ‖Q₁ᴴv₁‖² ≤ g(x); shape of `points`, float64.

    With Z = (xI − T)⁻¹EₖBₖᴴ and Z₁ its first b rows, g = max over w of ‖Z₁w‖²/(‖w‖² + ‖Zw‖²). For
    (λ₁I − T)y = EₖBₖᴴw holds for y = Qₖᴴv₁, w = Qₖ₊₁ᴴv₁, and ‖y‖² + ‖w‖² ≤ 1. Where x is so near to
    a θ that has not converged that rounding decides, 1: it bounds nothing.
    """
    solved = ritz.last / (points[:, None] - ritz.values)[:, :, None]
    whole = solved.mH @ solved
    whole.diagonal(dim1=1, dim2=2).add_(1)
    factor, failed = torch.linalg.cholesky_ex(whole)
    pivots = factor.diagonal(dim1=1, dim2=2).real
    unclear = (failed > 0) | ~(pivots.amin(1) > _UNCLEAR * pivots.amax(1))
    factor[unclear] = torch.eye(factor.shape[1], dtype=factor.dtype)
    first = ritz.first.to(solved) @ solved
    first[unclear] = 0
    reduced = torch.linalg.solve_triangular(factor, first.mH, upper=False)
    bound: Tensor = torch.linalg.matrix_norm(reduced, 2).square()
    return torch.where(unclear, 1.0, bound)


def probabilistic_bound(ritz: Ritz, smallest: float) -> float:
    """U: λ₁ ≤ U unless ‖Q₁ᴴv₁‖² < `smallest`.

    The largest x at which g(x) ≥ `smallest` on a scan from just above θ to far beyond it, refined:
    g is not known to decrease where b > 1, so the scan looks at the whole range.
    """
    low, high = math.log(_CLOSEST), math.log(_FARTHEST)
    for _ in range(_REFINED):
        grid = torch.linspace(low, high, _SCAN, dtype=torch.float64)
        possible = component_bound(ritz, ritz.theta * (1 + grid.exp())) >= smallest
        if not bool(possible.any()):
            return ritz.theta * (1 + math.exp(low))
        last = int(possible.nonzero()[-1])
        if last == _SCAN - 1:
            return math.inf
        low, high = float(grid[last]), float(grid[last + 1])
    return ritz.theta * (1 + math.exp(high))


def trailing_energy_bound(theta: float, coupling: float, tail: float) -> float:
    """λ₁ ≤ θ + β²/(θ − R) where R = tr A − tr T < θ, β = ‖Bₖ‖₂; else infinite. No chance in it."""
    return theta + coupling * coupling / (theta - tail) if tail < theta else math.inf
