"""How many power steps are still to come: Gauss quadrature where nobody wants to take them all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from normcli.linalg.krylov import Krylov
from normcli.linalg.matrix import wide, wide_dtype
from normcli.linalg.norms import largest_entry, power_of_two
from normcli.linalg.products import Gram

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from normcli.linalg.krylov import Ritz

MOST_STEPS = 10**6  # beyond them nobody iterates
_MOST_NODES = 256  # products with WᴴW before an answer is given up
_CHECK = 8  # products between two looks at the nodes
_AGREED = 2e-3  # relative change of an answer between two looks that settles it
_SEEN = 1e-3  # relative change of σ₂/σ₁ between two looks that settles it


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
    scale, dtype = power_of_two(largest_entry(matrix)), wide_dtype(matrix.dtype)
    product = Gram(matrix, dtype, scale, of_rows=legacy)
    space = Krylov((start / length)[None].to(dtype), dtype, torch.Generator())
    most = min(_MOST_NODES, product.side)
    for nodes in range(1, most + 1):
        image = product(space.newest)
        if not bool(torch.isfinite(image).all()):
            return
        space.extend(image)
        last = nodes == most or space.is_spent
        if last or nodes % _CHECK == 0:
            ritz = space.ritz()
            if ritz.theta > 0:
                yield _rule(ritz, scale)
        if last:
            return


def _settled(old: int | None, new: int | None, nodes: int) -> bool:
    if new is None:
        return False
    return new < nodes or (old is not None and abs(new - old) <= _AGREED * new)


def _rule(ritz: Ritz, scale: tuple[float, float]) -> Quadrature:
    """Nodes and weights from T = VΘVᵀ: θⱼ and V₀ⱼ²."""
    return Quadrature(
        nodes=(ritz.values / ritz.theta).clamp_min_(0.0),
        weights=ritz.first[0].abs() ** 2,
        top=math.sqrt(ritz.theta) / scale[0] / scale[1],
    )
