"""Block Lanczos from a random block, until the largest eigenvalue is as well known as wanted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from normcli.linalg.cost import BLOCK
from normcli.linalg.krylov import Krylov
from normcli.linalg.matrix import wide_dtype

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from normcli.linalg.krylov import Ritz

_TAME = 2.0**60  # a first product of this size: its squares, too, are far from the ends of float32


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has ended.

    Attributes:
        space: Basis and projection.
        ritz: Of the last step.
        reached: Whether it came to its goal.
    """

    space: Krylov
    ritz: Ritz
    reached: bool


def block_lanczos(
    product: Callable[[Tensor], Tensor],
    side: int,
    like: Tensor,
    *,
    left: Callable[[Krylov, Ritz], float],
    most_steps: int,
    seed: int = 0,
) -> Run | None:
    """Grow the Krylov space of A until nothing is left to the goal; None if A must be scaled first.

    Args:
        product: Row i of product(X) is A xᵢ; A Hermitian without negative eigenvalues.
        side: Order of A.
        like: A tensor of the dtype and on the device of the arithmetic.
        left: How far it is to the goal: a logarithm that falls about as steadily as steps are done.
        most_steps: After which it is given up.
        seed: Of the random start.
    """
    start, generator = _start(side, like, seed)
    space = Krylov(start, like.dtype, generator)
    schedule = _Schedule(most_steps)
    while True:
        image = product(space.newest)
        if space.steps == 0 and not 1 / _TAME < float(torch.linalg.vector_norm(image)) < _TAME:
            return None  # also where it is NaN
        space.extend(image)
        over = space.steps >= most_steps or not space.has_room
        if not (over or space.steps >= schedule.next):
            continue
        ritz = space.ritz()
        distance = left(space, ritz)
        schedule.look(space.steps, distance)
        if over or distance <= 0 or schedule.hopeless:
            return Run(space, ritz, distance <= 0)


def _start(side: int, like: Tensor, seed: int) -> tuple[Tensor, torch.Generator]:
    """A Gaussian block, the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    shape = min(BLOCK, side), side
    block = torch.randn(shape, dtype=wide_dtype(like.dtype), generator=generator)
    return block.to(device=like.device, dtype=like.dtype), generator


class _Schedule:
    """When to look at a run again: looking costs about as much as a step."""

    def __init__(self, most_steps: int) -> None:
        self.next = 2
        self.hopeless = False
        self._most = most_steps
        self._last = (0, math.inf)

    def look(self, steps: int, left: float) -> None:
        """Take in what is left; extend the line through the last two looks.

        At first it falls slowly, as long as θ itself is still growing, then fast and steadily: a
        line through the first part would reach far too far.
        """
        before, was = self._last
        self._last = steps, left
        needed = left * (steps - before) / (was - left) if left < was else math.inf
        self.next = steps + max(1, int(min(0.9 * needed, steps / 8)))
        self.hopeless = 2 * steps > self._most and steps + needed > 2 * self._most
