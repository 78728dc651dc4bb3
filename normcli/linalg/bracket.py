"""From a block Lanczos run to a bracket of σ₁."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from normcli.linalg.bound import (
    component_bound,
    probabilistic_bound,
    smallest_component,
    trailing_energy_bound,
)
from normcli.linalg.cost import CERTIFIED_BLOCK, ESTIMATE_BLOCK, price
from normcli.linalg.estimate import estimated_left
from normcli.linalg.lanczos import block_lanczos, random_space
from normcli.linalg.matrix import wide, wide_dtype
from normcli.linalg.norms import census, largest_entry, power_of_two
from normcli.linalg.products import Gram
from normcli.linalg.rounding import FROBENIUS_ROUNDING, gamma, outward

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from normcli.linalg.krylov import Krylov, Ritz
    from normcli.linalg.lanczos import Run
    from normcli.records import SpectralNorm
    from normcli.stream import Crew

_PROBES = 3  # random directions in which the error of a float32 recurrence is measured
_LEAST_WIDENING = 4e-7  # of σ, for float32 products: two to four times what random matrices show
_GOLDEN = (1 + math.sqrt(5)) / 2
_RESERVE = 5e-7  # of the width wanted, kept for what float32 products will need
_EXACT_RESERVE = 3e-10  # the same for the rounding of the lower end
_MOST_RESERVE = 0.65  # of the width wanted: with more there would be too little left for the bound
_MORE = 1.1  # times the reserve that was not enough
_EXACT_WIDENING = 1e-12  # of σ, for float64 products
_FLOAT32_ESTIMATE = 1e-12  # estimated errors that float32 vectors can still give
_ENERGY_RTOL = 1e-9  # of a bracket by trailing energy, as narrow as a dense one
_ENERGY_STEPS = 16  # enough for ranks of adapters
_TINY = 1e-300
_METHOD = "block-lanczos"


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted of block Lanczos.

    Attributes:
        rtol: Relative width of the bracket; the estimated error of σ₁ without a certificate.
        failure_probability: Of the upper end; 0 for no certificate, the upper end is then ‖W‖_F.
        seed: Of the start.
        narrow: Whether a wider bracket is of no use.
    """

    rtol: float
    failure_probability: float
    seed: int
    narrow: bool = True

    @property
    def certified(self) -> bool:
        """Whether the upper end is asked for."""
        return self.failure_probability > 0


def by_lanczos(
    matrix: Tensor, goal: Goal, together: Crew, scale: tuple[float, float] = (1.0, 1.0)
) -> SpectralNorm | None:
    """σ₁ by block Lanczos; None where the goal is not reached, or W holds NaN, Inf or only zeros.

    In float32 first, where W is not stored in more and `rtol` allows it; where the measured error
    of that is too large, in float64. The matrix, shape (m, n), has each row in one piece.
    """
    for dtype in _dtypes(matrix.dtype, goal):
        gram = Gram(matrix, dtype, scale, together)
        space = _space(gram, goal)
        reserve = _first_reserve(gram, goal)
        while not goal.certified or reserve <= _MOST_RESERVE * goal.rtol:
            run = _run(gram, space, goal, reserve)
            if run is None:
                return _scaled(matrix, goal, together) if scale == (1.0, 1.0) else None
            if goal.narrow and not run.reached:
                return None
            found, widening = _bracket(gram, run, goal)
            if not goal.certified or not goal.narrow or _is_narrow(found, goal.rtol):
                return found
            reserve = _MORE * max(reserve, widening)
    return None


def _first_reserve(gram: Gram, goal: Goal) -> float:
    if not goal.narrow:
        return 0.0
    return _EXACT_RESERVE if gram.is_wide else _RESERVE


def _is_narrow(found: SpectralNorm, rtol: float) -> bool:
    return found.upper <= found.lower * (1 + rtol)


def by_trailing_energy(
    matrix: Tensor, seed: int, together: Crew, scale: tuple[float, float]
) -> SpectralNorm | None:
    """The deterministic bracket of a matrix of low rank; None where its rank is too high.

    A few steps of block Lanczos in float64: with R = ‖W‖_F² − tr T < θ, λ₁ ≤ θ + β²/(θ − R).
    """
    gram = Gram(matrix, wide_dtype(matrix.dtype), scale, together)
    energy = (census(matrix).frobenius * scale[0] * scale[1]) ** 2 * (1 + _EXACT_WIDENING)

    def bound(ritz: Ritz) -> float:
        tail = max(0.0, energy - ritz.energy) + _EXACT_WIDENING * energy
        return trailing_energy_bound(ritz.theta, ritz.coupling, tail)

    def left(ritz: Ritz) -> float:
        width = math.sqrt(bound(ritz) / ritz.theta) - 1
        return math.log(max(width, _EXACT_WIDENING) / _ENERGY_RTOL)

    run = block_lanczos(
        gram,
        random_space(gram.side, gram.empty(), CERTIFIED_BLOCK, seed=seed, together=together),
        left=left,
        price=price(*gram.shape, gram.dtype),
        most_steps=_ENERGY_STEPS,
    )
    if run is None or not run.reached:
        return None
    upper = math.sqrt(bound(run.ritz)) * (1 + _EXACT_WIDENING)
    return _assembled(gram, run, _pair(gram, run), upper, method="trailing-energy", chance=0.0)


def _dtypes(stored: torch.dtype, goal: Goal) -> list[torch.dtype]:
    """Dtypes of the products, in the order in which they are tried."""
    last = wide_dtype(stored)
    if stored == last or goal.rtol < (2 * _RESERVE if goal.certified else _FLOAT32_ESTIMATE):
        return [last]
    return [torch.complex64 if stored.is_complex else torch.float32, last]


def _space(gram: Gram, goal: Goal) -> Krylov:
    block = CERTIFIED_BLOCK if goal.certified else ESTIMATE_BLOCK
    return random_space(gram.side, gram.empty(), block, seed=goal.seed, together=gram.together)


def _run(gram: Gram, space: Krylov, goal: Goal, reserve: float) -> Run | None:
    """Grow the space until its bound is within rtol − reserve, its estimated error within rtol."""
    left = _certified_left(gram, goal, reserve) if goal.certified else estimated_left(goal.rtol)
    return block_lanczos(gram, space, left=left, price=price(*gram.shape, gram.dtype))


def _certified_left(gram: Gram, goal: Goal, reserve: float) -> Callable[[Ritz], float]:
    """log(g/δ²) at the x that the bracket may end at.

    It hardly moves before θ has settled; until then the way to that is counted instead.
    """
    rtol, smallest = goal.rtol - reserve, _smallest(gram, goal)

    def left(ritz: Ritz) -> float:
        unsettled = math.log(max(ritz.estimated_error, _TINY) / rtol)
        if unsettled > 0:
            return unsettled - math.log(smallest)
        wanted = torch.tensor([ritz.theta * (1 + rtol) ** 2], dtype=torch.float64)
        return math.log(max(float(component_bound(ritz, wanted)), _TINY) / smallest)

    return left


def _smallest(gram: Gram, goal: Goal) -> float:
    """δ² of the start."""
    block, complex_ = min(CERTIFIED_BLOCK, gram.side), gram.dtype.is_complex
    return smallest_component(gram.side, block, goal.failure_probability, complex_=complex_)


def _scaled(matrix: Tensor, goal: Goal, together: Crew) -> SpectralNorm | None:
    largest = largest_entry(matrix)
    if not (math.isfinite(largest) and largest > 0):
        return None
    return by_lanczos(matrix, goal, together, power_of_two(largest))


def _bracket(gram: Gram, run: Run, goal: Goal) -> tuple[SpectralNorm, float]:
    """(the bracket of the top Ritz vector and of all that the start may have missed, widening)."""
    if not goal.certified:
        vector = wide(run.space.combine(run.ritz.top[None]))
        image, energy = gram.in_float64().image_and_energy(vector)
        upper = math.sqrt(energy) * (1 + FROBENIUS_ROUNDING)
        return _assembled(gram, run, (vector[0], image[0]), upper, method=_METHOD, chance=0.0), 0.0
    pair, widening = (_pair(gram, run), _EXACT_WIDENING) if gram.is_wide else _probed(gram, run)
    upper = math.sqrt(probabilistic_bound(run.ritz, _smallest(gram, goal))) * (1 + widening)
    chance = goal.failure_probability
    return _assembled(gram, run, pair, upper, method=_METHOD, chance=chance), widening


def _pair(gram: Gram, run: Run) -> tuple[Tensor, Tensor]:
    """(x, W′x) of the top Ritz vector, in float64."""
    vector = wide(run.space.combine(run.ritz.top[None]))
    return vector[0], gram.in_float64().image(vector)[0]


def _probed(gram: Gram, run: Run) -> tuple[tuple[Tensor, Tensor], float]:
    """(the pair, what rounding can have taken from the upper end, relative to σ₁).

    The recurrence A Q = Q T + Q₊B Eₖᴴ holds but for an error F; a run is that of A + E without one,
    E = −FQᴴ − QFᴴ + QQᴴFQᴴ. For unit v = Qs + w, w ⟂ Q, |vᴴEv| ≤ ‖F‖(2‖w‖‖s‖ + ‖s‖²), at most
    φ‖F‖, φ = (1 + √5)/2: σ₁ may be larger by φ‖F‖/2λ₁. F is measured in float64, in the direction
    of the Ritz vector and in random ones; twice the largest stands for its norm.
    """
    chosen = torch.cat([run.ritz.top[None], run.space.random_coefficients(_PROBES)])
    vectors = wide(run.space.combine(chosen))
    applied, images = gram.in_float64().with_images(vectors)
    errors = torch.linalg.vector_norm(applied - run.space.image(chosen), dim=1)
    widening = max(_LEAST_WIDENING, _GOLDEN * float(errors.max()) / run.ritz.theta)
    return (vectors[0], images[0]), widening


def _assembled(
    gram: Gram, run: Run, pair: tuple[Tensor, Tensor], upper: float, *, method: str, chance: float
) -> SpectralNorm:
    """The bracket with ‖W′x‖/‖x‖, less its rounding, as its lower end."""
    vector, image = pair
    length = float(torch.linalg.vector_norm(vector))
    value = float(torch.linalg.vector_norm(image)) / length
    slack = gamma(4 * (sum(gram.shape) + 8)) * math.sqrt(min(gram.shape)) * value
    domain, range_ = vector / length, image / (length * value)
    return outward(
        value - slack,
        value,
        upper,
        scale=gram.scale,
        failure_probability=chance,
        method=method,
        passes=run.space.steps + 1,
        gap=math.sqrt(run.ritz.second / run.ritz.theta),
        u=domain if gram.of_rows else range_,
        v=range_ if gram.of_rows else domain,
    )
