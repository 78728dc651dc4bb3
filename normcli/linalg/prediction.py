"""How many power steps are still to come: Gauss quadrature where nobody wants to take them all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from normcli.linalg.matrix import column_panels, row_panels, wide
from normcli.linalg.norms import largest_entry, power_of_two

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

MOST_STEPS = 10**6  # beyond them nobody iterates
_MOST_NODES = 256  # products with WᴴW before an answer is given up
_CHECK = 8  # products between two looks at the nodes
_AGREED = 2e-3  # relative change of an answer between two looks that settles it
_SEEN = 1e-3  # relative change of σ₂/σ₁ between two looks that settles it
_SPENT = 1e-14  # length of a new direction, relative to ‖WᴴW‖, that is rounding alone
_ENTRIES = 1 << 21  # of a panel in float64: 16 MB


@dataclass(frozen=True, slots=True)
class Quadrature:
    """The spectral measure of A = WᴴW as a start vector sees it, as a Gauss rule of k nodes.

    It gives σₙ exactly for n < k and closely beyond (Golub & Welsch 1969; Golub & Meurant 2010,
    chapter 6).

    Attributes:
        nodes: Ritz values of A relative to the largest, ascending, float64.
        weights: Squared components of the start on them.
        top: Square root of the largest Ritz value, in the unit of W.
    """

    nodes: Tensor
    weights: Tensor
    top: float

    def estimate(self, steps: int) -> float:
        """σₙ = √(Σ wⱼθⱼ²ⁿ / Σ wⱼθⱼ²ⁿ⁻¹) after n ≥ 1 steps in exact arithmetic."""
        terms = self.weights * self.nodes ** (2 * steps - 1)
        return self.top * math.sqrt(float((terms * self.nodes).sum() / terms.sum()))

    def steps_to(self, target: float) -> int | None:
        """The first n ≥ 1 with σₙ ≥ target, at most `MOST_STEPS`; None beyond. σₙ never falls."""
        if not self.estimate(MOST_STEPS) >= target:
            return None
        above = 1
        while self.estimate(above) < target:
            above *= 2
        below = above // 2
        while above - below > 1:
            middle = (above + below) // 2
            if self.estimate(middle) >= target:
                above = middle
            else:
                below = middle
        return above

    @property
    def gap(self) -> float:
        """√(θ₂/θ₁); 0 where the start shows one value only."""
        return math.sqrt(float(self.nodes[-2])) if len(self.nodes) > 1 else 0.0


def predicted_steps(
    matrix: Tensor, vectors: tuple[Tensor, Tensor], targets: Sequence[float], *, legacy: bool
) -> list[int | None]:
    """How many more steps from u and v take σ̂ to each target, in exact arithmetic.

    None where `MOST_STEPS` would not do or cannot be told: a start that is zero or not finite, a
    target that it does not reach. A complex matrix under the legacy hook, which forgets to
    conjugate, iterates with another matrix than WᴴW: None as well.

    Args:
        matrix: Shape (m, n); arithmetic in float64.
        vectors: u of shape (m,) and v of shape (n,), of any length.
        targets: Values of σ̂, in the unit of the matrix.
        legacy: Update order, see `power_step`.
    """
    if legacy and matrix.is_complex():
        return [None] * len(targets)
    found: list[int | None] = [None] * len(targets)
    for rule in quadratures(matrix, vectors, legacy=legacy):
        before, found = found, [rule.steps_to(target) for target in targets]
        pairs = zip(before, found, strict=True)
        if all(_settled(old, new, len(rule.nodes)) for old, new in pairs):
            break
    return found


def ritz_gap(matrix: Tensor, vectors: tuple[Tensor, Tensor], *, legacy: bool) -> float | None:
    """σ₂/σ₁ as a start sees it, to three digits: what there is where no better one is known."""
    before = None
    for rule in quadratures(matrix, vectors, legacy=legacy):
        if before is not None and abs(rule.gap - before) <= _SEEN * rule.gap:
            return rule.gap
        before = rule.gap
    return before


def quadratures(
    matrix: Tensor, vectors: tuple[Tensor, Tensor], *, legacy: bool
) -> Iterator[Quadrature]:
    """Gauss rules with more and more nodes, from Lanczos with full reorthogonalization.

    A legacy step begins with Wᴴu, so u is the start and A is WWᴴ; a parametrized one begins with
    Wv, so v is the start and A is WᴴW. Nothing where the start is zero, or anything is not finite.
    """
    start = wide(vectors[0] if legacy else vectors[1])
    length = float(torch.linalg.vector_norm(start))
    if not 0 < length < math.inf:
        return
    scale = power_of_two(largest_entry(matrix))
    for diagonal, beside, last in _lanczos(_product(matrix, scale, left=legacy), start / length):
        if last or len(diagonal) % _CHECK == 0:
            rule = _rule(diagonal, beside, scale)
            if rule is not None:
                yield rule


def _settled(old: int | None, new: int | None, nodes: int) -> bool:
    if new is None:
        return False
    return new < nodes or (old is not None and abs(new - old) <= _AGREED * new)


def _product(
    matrix: Tensor, scale: tuple[float, float], *, left: bool
) -> Callable[[Tensor], Tensor]:
    """X ↦ s²WᴴWx (s²WWᴴx from the left), by panels in float64; s keeps squares in range."""
    first, second = scale

    def panels() -> Iterator[Tensor]:
        pieces = column_panels(matrix, _ENTRIES) if left else row_panels(matrix, _ENTRIES)
        for stored in pieces:
            yield wide(stored).mH if left else wide(stored)

    def times(vector: Tensor) -> Tensor:
        total = torch.zeros_like(vector)
        for panel in panels():
            image = (panel @ vector) * first * second
            total += (panel.mH @ image) * first * second
        return total

    return times


def _lanczos(
    times: Callable[[Tensor], Tensor], start: Tensor
) -> Iterator[tuple[list[float], list[float], bool]]:
    """(diagonal, off-diagonal of T, whether it is the last one) after each product.

    It ends where no new direction is left, after `_MOST_NODES`, and at a number that is not finite.
    """
    most = min(_MOST_NODES, len(start))
    basis = torch.empty(most, len(start), dtype=start.dtype)
    basis[0] = start
    diagonal: list[float] = []
    beside: list[float] = []
    for k in range(most):
        image = times(basis[k])
        diagonal.append(float(torch.vdot(basis[k], image).real))
        if not math.isfinite(diagonal[k]):
            return
        known = basis[: k + 1]
        for _ in range(2):  # twice is enough (Kahan; Parlett 1980, chapter 6)
            image = image - known.T @ (known.conj() @ image)
        length = float(torch.linalg.vector_norm(image))
        last = length <= _SPENT * max(diagonal) or k + 1 == most
        yield diagonal, beside, last
        if last:
            return
        beside.append(length)
        basis[k + 1] = image / length


def _rule(
    diagonal: list[float], beside: list[float], scale: tuple[float, float]
) -> Quadrature | None:
    """Nodes and weights from T = VΘVᵀ: θⱼ and V₀ⱼ²; None for a start that W takes to zero."""
    off = torch.diag(torch.tensor(beside, dtype=torch.float64), 1) if beside else 0.0
    middle = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
    nodes, vectors = torch.linalg.eigh(middle + off, UPLO="U")
    top = float(nodes[-1])
    if not top > 0:
        return None
    first, second = scale
    return Quadrature(
        nodes=(nodes / top).clamp_min_(0.0),
        weights=vectors[0] ** 2,
        top=math.sqrt(top) / first / second,
    )
