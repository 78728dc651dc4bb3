"""The power iteration seen step by step: σ̂ after each one, and the vectors that it ends with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from normcli.linalg.power import begun, power_step, sigma

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Steps:
    """What some power steps give.

    Attributes:
        values: σ̂ of the start, then after each step.
        start: u and v at the start, shapes (m,) and (n,), in the dtype of the arithmetic.
        end: u and v after the last step.
    """

    values: tuple[float, ...]
    start: tuple[Tensor, Tensor]
    end: tuple[Tensor, Tensor]


def power_steps(
    matrix: Tensor,
    *,
    iterations: int,
    start: tuple[Tensor, Tensor] | None = None,
    legacy: bool = False,
    seed: int = 0,
) -> Steps:
    """σ̂ₙ = uₙᴴWvₙ for n = 0 … iterations, each bit for bit what `power_iteration` gives.

    The arguments are those of `power_iteration`; n = 0 is the start itself.
    """
    matrix, u, v = begun(matrix, start, legacy=legacy, seed=seed)
    first = u, v
    values = [float(sigma(matrix, u, v, legacy=legacy).real)]
    for _ in range(iterations):
        u, v = power_step(matrix, u, v, legacy=legacy)
        values.append(float(sigma(matrix, u, v, legacy=legacy).real))
    return Steps(tuple(values), first, (u, v))
