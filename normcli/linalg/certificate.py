"""The deterministic certificate of σ₁: float64 Gram matrix, one Cholesky factorization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from normcli.linalg.cost import CERTIFIED_BLOCK, EIGENVALUE_SIDE, price
from normcli.linalg.estimate import estimated_left
from normcli.linalg.lanczos import block_lanczos, random_space
from normcli.linalg.matrix import column_panels, row_panels, scaled
from normcli.linalg.rounding import UNIT, gamma, outward

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from normcli.records import SpectralNorm

_GRAM_ENTRIES = 1 << 21  # entries of a panel that goes into the Gram matrix: 16 MB, near GEMM peak
_FIRST_EXCESS = 1e-13  # first try for s/λ₁ − 1; Cholesky passes there for all but huge matrices
_NEAR = 1e-10  # s/θ − 1 from which inverse iterations have nothing left to find
_INVERSE_STEPS = 2  # from s within 1e-12 of λ₁, two are many
_SEARCH_STEPS = 12  # from an s that is still far away
_LANCZOS_STEPS = 100
_SETTLED = 1e-14  # estimated error of an eigenvalue at which Lanczos has done its part


@dataclass(frozen=True, slots=True)
class _Peak:
    """What is known of the largest eigenvalue of each Gram matrix of a stack (L, n, n).

    Attributes:
        theta: Estimate, shape (L,).
        second: Of the second largest, shape (L,).
        shift: s for which sI − G has a Cholesky factor, shape (L,).
        factor: That factor, shape (L, n, n).
        trace: Tr(sI − G), shape (L,).
    """

    theta: Tensor
    second: Tensor
    shift: Tensor
    factor: Tensor
    trace: Tensor


def dense(matrix: Tensor, scale: tuple[float, float]) -> SpectralNorm:
    """The bracket of one non-zero finite matrix, both sides longer than 1.

    G = WᵀW (or WWᵀ, whichever is smaller) in float64. If the floating-point Cholesky factorization
    of S = sI − G runs to its end, no eigenvalue of WᵀW exceeds s + c·tr(S) + γₘ‖W‖_F²,
    c = γₙ₊₁/(1 − γₙ₊₁), γₖ = ku/(1 − ku): rounding of G and of the factorization included (Higham,
    Accuracy and Stability, Theorems 10.3 and 10.5; Rump, BIT 46 (2006)). The lower end is ‖Wx‖/‖x‖
    for an x of inverse iterations with the same factor, less its own rounding.
    """
    gram = _gram(matrix, scale)[None]
    peak = _few(gram) if gram.shape[1] <= EIGENVALUE_SIDE else _one(gram)

    def image(vector: Tensor) -> Tensor:
        panels = _thin_panels(matrix, scale)
        return torch.cat([panel @ vector[0] for panel in panels])[None]

    shape = tuple(matrix.shape)
    (ends,), vector, images = _ends(shape, gram, peak, image)
    short, long = vector[0, :, 0], images[0, :, 0] / torch.linalg.vector_norm(images)
    tall = shape[0] >= shape[1]
    return _result(ends, scale, *((long, short) if tall else (short, long)))


def dense_stack(stack: Tensor, scales: list[tuple[float, float]]) -> list[SpectralNorm]:
    """The same, without vectors, for each matrix of a stack (L, m, n) that is already scaled."""
    _, m, n = stack.shape
    thin = stack if m >= n else stack.mH
    gram = thin.mH @ thin

    def image(vector: Tensor) -> Tensor:
        """Two columns instead of one: BLAS then takes the same kernel for a stack of any length."""
        return (thin @ vector.expand(-1, -1, 2))[:, :, :1]

    ends, _, _ = _ends((m, n), gram, _few(gram), image)
    return [_result(each, scale) for each, scale in zip(ends, scales, strict=True)]


def _gram(matrix: Tensor, scale: tuple[float, float]) -> Tensor:
    """G = W′ᴴW′ of the smaller side, float64, W′ = W · first · second, summed by panels."""
    panels = _thin_panels(matrix, scale)
    first = next(panels)
    gram = first.mH @ first
    for panel in panels:
        gram.addmm_(panel.mH, panel)
    return gram


def _thin_panels(matrix: Tensor, scale: tuple[float, float]) -> Iterator[Tensor]:
    """W′ (W′ᴴ where it is wide) in float64, by panels of rows as long as the smaller side."""
    m, n = matrix.shape
    tall = m >= n
    panels = row_panels(matrix, _GRAM_ENTRIES) if tall else column_panels(matrix, _GRAM_ENTRIES)
    for stored in panels:
        panel = scaled(stored, scale)
        yield panel if tall else panel.mH


def _few(gram: Tensor) -> _Peak:
    """The peaks of small matrices, by all of their eigenvalues."""
    eigenvalues = torch.linalg.eigvalsh(gram)
    theta, second = eigenvalues[:, -1], eigenvalues[:, -2].clamp_min(0)
    excess = torch.full_like(theta, max(_FIRST_EXCESS, UNIT * gram.shape[1]))
    while True:
        shift, factor, trace, passed = _factored(gram, theta, excess)
        if bool(passed.all()):
            return _Peak(theta, second, shift, factor, trace)
        excess = torch.where(passed, excess, 10 * excess)


def _one(gram: Tensor) -> _Peak:
    """The peak of one large matrix, by block Lanczos and, where that is stuck, by the factors.

    An s that is too large still has a factor, whose inverse iterations find a better θ, which
    allows a smaller s.
    """
    theta, second, error = _lanczos_peak(gram)
    least = max(_FIRST_EXCESS, UNIT * gram.shape[1])
    excess, best = max(least, error), None
    while True:
        shift, factor, trace, passed = _factored(gram, theta, torch.full_like(theta, excess))
        if bool(passed):
            best = _Peak(theta, second, shift, factor, trace)
            if excess <= _NEAR:
                return best
            theta, moved = _refined(gram, best)
            excess = max(least, min(0.1 * excess, 10 * moved))
        elif best is not None and 10 * excess >= 0.5 * float(best.shift / theta - 1):
            return best
        else:
            excess *= 10


def _lanczos_peak(gram: Tensor) -> tuple[Tensor, Tensor, float]:
    """(θ, second, estimated relative error of θ) of the matrix itself."""
    run = block_lanczos(
        lambda rows: rows @ gram[0].mT,
        random_space(gram.shape[1], gram[0, 0, :0], CERTIFIED_BLOCK),
        left=estimated_left(_SETTLED),
        price=price(gram.shape[1], gram.shape[1], gram.dtype),
        most_steps=_LANCZOS_STEPS,
    )
    if run is None:  # far from 1: nothing that a wider search could not find
        top = gram[0].diagonal().real.max()[None]
        return top, torch.zeros_like(top), 1.0
    theta, second = (gram.real.new_tensor([each]) for each in (run.ritz.theta, run.ritz.second))
    return theta, second, 10 * run.ritz.estimated_error


def _refined(gram: Tensor, peak: _Peak) -> tuple[Tensor, float]:
    """(a better θ, by how much its last step improved it, relative)."""
    vector = _inverse_iterated(peak.factor, _SEARCH_STEPS)
    before = (vector.mH @ (gram @ vector)).real[:, 0, 0]
    vector = torch.cholesky_solve(vector, peak.factor)
    vector = vector / torch.linalg.vector_norm(vector, dim=1, keepdim=True)
    after = (vector.mH @ (gram @ vector)).real[:, 0, 0]
    return torch.maximum(peak.theta, after), abs(float(after / before - 1))


def _factored(gram: Tensor, theta: Tensor, excess: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(s, factor of S = sI − G, tr S, whether there is a factor) with s = θ(1 + excess)."""
    shift = theta * (1 + excess)
    shifted = -gram
    shifted.diagonal(dim1=1, dim2=2).add_(shift[:, None])
    diagonal = shifted.diagonal(dim1=1, dim2=2).real
    trace = diagonal.sum(1)
    factor, failed = torch.linalg.cholesky_ex(shifted)
    pivots = factor.diagonal(dim1=1, dim2=2).real
    return shift, factor, trace, (failed == 0) & pivots.isfinite().all(1)


def _inverse_iterated(factor: Tensor, steps: int) -> Tensor:
    """Top eigenvectors of G by inverse iteration, unit columns, shape (L, n, 1)."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(factor.shape[1], 1, dtype=torch.float64, generator=generator)
    vector = start.to(factor).expand(len(factor), -1, -1)
    for _ in range(steps):
        vector = torch.cholesky_solve(vector, factor)
        vector = vector / torch.linalg.vector_norm(vector, dim=1, keepdim=True)
    return vector


def _ends(
    shape: tuple[int, ...], gram: Tensor, peak: _Peak, image: Callable[[Tensor], Tensor]
) -> tuple[list[list[float]], Tensor, Tensor]:
    """([lower, value, upper, gap] of each matrix, x, W′x): columns x on the smaller side, unit.

    √(s + c·tr S + γₘ‖W‖_F² + 2us) above, ‖W′x‖/‖x‖ less its rounding below.
    """
    parts = 4 if gram.is_complex() else 1
    terms, side = parts * max(shape), parts * gram.shape[1]
    energy = gram.diagonal(dim1=1, dim2=2).real.sum(1) * (1 + gamma(terms + side))
    rounding = gamma(side + 1) / (1 - gamma(side + 1))
    bound = peak.shift + rounding * peak.trace + gamma(terms) * energy + 2 * UNIT * peak.shift
    vector = _inverse_iterated(peak.factor, _INVERSE_STEPS)
    images = image(vector)
    length = torch.linalg.vector_norm(vector, dim=(1, 2))
    value = torch.linalg.vector_norm(images, dim=(1, 2)) / length
    slack = gamma(parts * (sum(shape) + 8)) * energy.sqrt()
    upper = bound.sqrt() * (1 + 8 * UNIT)
    gap = (peak.second / peak.theta).sqrt()
    return torch.stack([value - slack, value, upper, gap]).T.tolist(), vector, images


def _result(
    ends: list[float],
    scale: tuple[float, float],
    u: Tensor | None = None,
    v: Tensor | None = None,
) -> SpectralNorm:
    lower, value, upper, gap = ends
    return outward(
        lower, value, upper, scale=scale, method="gram-cholesky", passes=3, gap=gap, u=u, v=v
    )
