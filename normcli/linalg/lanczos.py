"""Block Lanczos from a random block, until the largest eigenvalue is as well known as wanted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from normcli.linalg.krylov import Krylov
from normcli.linalg.matrix import wide_dtype
from normcli.stream import alone

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from normcli.linalg.cost import Price
    from normcli.linalg.krylov import Ritz
    from normcli.stream import Crew

_HOPELESS = 1.5  # times the steps that pay, at which a run is expected to end
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


def random_space(
    side: int, like: Tensor, block: int, *, seed: int = 0, together: Crew = alone
) -> Krylov:
    """A Krylov space that begins with a Gaussian block, the same on every device.

    Args:
        side: Order of A.
        like: A tensor of the dtype and on the device of the arithmetic.
        block: Vectors of a block; no more than `side` of them.
        seed: Of the block.
        together: Who works on long vectors.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = min(block, side), side
    start = torch.randn(shape, dtype=wide_dtype(like.dtype), generator=generator)
    start = start.to(device=like.device, dtype=like.dtype)
    return Krylov(start, like.dtype, generator, together)


def block_lanczos(
    product: Callable[[Tensor], Tensor],
    space: Krylov,
    *,
    left: Callable[[Ritz], float],
    price: Price,
    most_steps: int | None = None,
) -> Run | None:
    """Grow the Krylov space of A until nothing is left to the goal; None if A must be scaled first.

    Args:
        product: Row i of product(X) is A xᵢ; A Hermitian without negative eigenvalues.
        space: Of a random block; one that has been grown before goes on.
        left: How far it is to the goal: a logarithm that falls about as steadily as steps are done.
        price: Of a step, which decides how often a look pays.
        most_steps: After which it is given up; `price.most_steps` without.
    """
    most_steps = most_steps or price.most_steps
    schedule = _Schedule(most_steps, price, space)
    while True:
        image = product(space.newest)
        if space.steps == 0 and not 1 / _TAME < float(torch.linalg.vector_norm(image)) < _TAME:
            return None  # also where it is NaN
        space.extend(image)
        over = space.steps >= most_steps or not space.has_room
        if not (over or space.steps >= schedule.next):
            continue
        ritz = space.ritz()
        distance = left(ritz)
        schedule.look(space.steps, distance)
        if over or distance <= 0 or schedule.hopeless:
            return Run(space, ritz, distance <= 0)


class _Schedule:
    """When to look at a run again: a look costs about as much as a step."""

    def __init__(self, most_steps: int, price: Price, space: Krylov) -> None:
        self.next = max(2, space.steps + 1)
        self.hopeless = False
        self._most = most_steps
        self._price = price
        self._block = space.width
        self._first: tuple[int, float] | None = None
        self._last = (space.steps, math.inf)

    def look(self, steps: int, left: float) -> None:
        """Take in what is left: it falls along a line, or faster."""
        self._first = self._first or (steps, left)
        needed = _steps_to_zero(self._last, (steps, left))
        pays = max(steps / 4, min(self._price.looks_apart(steps * self._block), steps / 2))
        self.next = steps + max(1, int(min(0.6 * needed, pays)))
        end = steps + _steps_to_zero(self._first, (steps, left))
        self.hopeless = 2 * steps > self._most and end > _HOPELESS * self._most
        self._last = steps, left


def _steps_to_zero(before: tuple[int, float], now: tuple[int, float]) -> float:
    """Where the line through two looks comes to nothing, counted from the second."""
    fallen = before[1] - now[1]
    return now[1] * (now[0] - before[0]) / fallen if fallen > 0 else math.inf
