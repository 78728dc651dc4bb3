"""How far a Ritz value probably is from its eigenvalue: an estimate, where no bound is wanted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from normcli.linalg.krylov import Ritz

_TINY = 1e-300
_TRUST = 10  # how many times better than ‖r‖²/gap the estimate may be
_APART = 1e-3  # 1 − θ₂/θ below which it may not: θ rests for a while between near values


def estimated_left(rtol: float) -> Callable[[Ritz], float]:
    """log(estimated error of σ₁ / rtol), for the looks at one run in turn.

    ‖r‖²/gap is too large by one or two orders. What θ has gained since the last look, continued at
    the rate at which ‖r‖² fell meanwhile, is nearer.
    """
    before: list[Ritz] = []

    def left(ritz: Ritz) -> float:
        error = ritz.estimated_error
        if before and ritz.second < ritz.theta * (1 - _APART):
            error = min(error, max(_extrapolated(before.pop(), ritz), error / _TRUST))
        before[:] = [ritz]
        return math.log(max(error, _TINY) / rtol)

    return left


def _extrapolated(before: Ritz, now: Ritz) -> float:
    """σ₁/√θ − 1 if θ goes on as between two looks."""
    fall = math.log(max(before.estimated_error, _TINY) / max(now.estimated_error, _TINY))
    gained = (now.theta - before.theta) / now.theta
    return 0.5 * gained / math.expm1(min(fall, 600.0)) if fall > 0 else math.inf
