"""The exact spectral norm with a deterministic certificate: float64 Gram matrix, one Cholesky."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from normcli.linalg.matrix import column_panels, row_major, row_panels, wide
from normcli.linalg.norms import census, largest_entry, power_of_two
from normcli.records import SpectralNorm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

_UNIT = 2.0**-53  # unit roundoff of float64
_GRAM_ENTRIES = 1 << 21  # entries of a panel that goes into the Gram matrix: 16 MB, near GEMM peak
_FIRST_EXCESS = 1e-13  # first try for s/λ₁ − 1; Cholesky passes there for all but huge matrices
_DIRECT = "gram-cholesky"


def dense(matrix: Tensor) -> SpectralNorm:
    """The norm of a matrix of any size; the special ones need no Gram matrix."""
    if matrix.numel() == 0:
        return _certain(0.0, "empty")
    whole = census(matrix)
    if whole.nan or whole.inf:
        return _certain(math.nan, "non-finite")
    if whole.frobenius == 0:
        return _certain(0.0, "zero")
    if min(matrix.shape) == 1:
        return _of_vector(whole.frobenius, matrix.numel())
    return _of_matrix(row_major(matrix))


def gamma(terms: int) -> float:
    """γₖ = ku/(1 − ku), the relative error of a sum of k products in float64."""
    return terms * _UNIT / (1 - terms * _UNIT)


def _certain(value: float, method: str) -> SpectralNorm:
    return SpectralNorm(value, value, value, 0.0, method, passes=1)


def _of_vector(frobenius: float, entries: int) -> SpectralNorm:
    """One row or one column has one singular value: its norm."""
    slack = gamma(entries + 4)
    ends = frobenius * (1 - slack), frobenius * (1 + slack)
    return _between(ends[0], frobenius, ends[1], method="vector", passes=1, gap=0.0)


def _between(
    lower: float, value: float, upper: float, *, method: str, passes: int, gap: float
) -> SpectralNorm:
    """The bracket with its ends one float further out: a product with 2ᵉ may be subnormal."""
    return SpectralNorm(
        value=value,
        lower=math.nextafter(lower, 0.0),
        upper=math.nextafter(upper, math.inf),
        failure_probability=0.0,
        method=method,
        passes=passes,
        gap=gap,
    )


def _of_matrix(matrix: Tensor) -> SpectralNorm:
    """The bracket of a non-zero finite matrix with at least two rows and two columns."""
    first, second = power_of_two(largest_entry(matrix))
    gram = _gram(matrix, first, second)
    eigenvalues = torch.linalg.eigvalsh(gram)
    top = float(eigenvalues[-1])
    shift, factor, trace = _factor(gram, top)
    terms = 4 * max(matrix.shape) if matrix.is_complex() else max(matrix.shape)
    energy = float(gram.diagonal().real.sum()) * (1 + gamma(terms + len(gram)))
    upper = _upper(shift, trace, energy, terms, len(gram) * (4 if matrix.is_complex() else 1))
    value, slack = _stretch(matrix, (first, second), _top_vector(factor), math.sqrt(energy))
    lower = max(0.0, value - slack)
    gap = math.sqrt(max(0.0, float(eigenvalues[-2])) / top)
    lower, value, upper = (number / first / second for number in (lower, min(value, upper), upper))
    return _between(lower, value, upper, method=_DIRECT, passes=3, gap=gap)


def _gram(matrix: Tensor, first: float, second: float) -> Tensor:
    """G = W′ᴴW′ of the smaller side, float64, W′ = W · first · second, summed by panels."""
    side = min(matrix.shape)
    dtype = torch.complex128 if matrix.is_complex() else torch.float64
    gram = torch.zeros(side, side, dtype=dtype, device=matrix.device)
    for panel in _thin_panels(matrix, first, second):
        gram.addmm_(panel.mH, panel)
    return gram


def _thin_panels(matrix: Tensor, first: float, second: float) -> Iterator[Tensor]:
    """W′ (W′ᴴ where it is wide) in float64, by panels of rows as long as the smaller side."""
    m, n = matrix.shape
    tall = m >= n
    panels = row_panels(matrix, _GRAM_ENTRIES) if tall else column_panels(matrix, _GRAM_ENTRIES)
    for stored in panels:
        panel = wide(stored) * first * second
        yield panel if tall else panel.mH


def _factor(gram: Tensor, top: float) -> tuple[float, Tensor, float]:
    """(s, Cholesky factor of S = sI − G, tr S) for the smallest s tried that has a factor."""
    excess = max(_FIRST_EXCESS, _UNIT * len(gram))
    while True:
        shift = top * (1 + excess)
        shifted = -gram
        shifted.diagonal().add_(shift)
        trace = float(shifted.diagonal().real.sum())
        factor, failed = torch.linalg.cholesky_ex(shifted)
        if int(failed) == 0 and bool(factor.diagonal().real.isfinite().all()):
            return shift, factor, trace
        excess *= 10


def _upper(shift: float, trace: float, energy: float, terms: int, side: int) -> float:
    """√(s + c·tr S + γₘ‖W‖_F² + 2us), rounded up."""
    rounding = gamma(side + 1) / (1 - gamma(side + 1))
    bound = shift + rounding * trace + gamma(terms) * energy + 2 * _UNIT * shift
    return math.sqrt(bound) * (1 + 8 * _UNIT)


def _top_vector(factor: Tensor) -> Tensor:
    """Top eigenvector of G by two inverse iterations: s is within 1e-12 of λ₁, so two are many."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(len(factor), 1, dtype=torch.float64, generator=generator)
    vector = start.to(factor)
    for _ in range(2):
        vector = torch.cholesky_solve(vector, factor)
        vector = vector / torch.linalg.vector_norm(vector)
    return vector


def _stretch(
    matrix: Tensor, scale: tuple[float, float], vector: Tensor, frobenius: float
) -> tuple[float, float]:
    """(‖W′x‖/‖x‖, bound on its rounding error) of the vector on the smaller side."""
    total = 0.0
    for panel in _thin_panels(matrix, *scale):
        total += float(torch.linalg.vector_norm(panel @ vector)) ** 2
    length = float(torch.linalg.vector_norm(vector))
    terms = (4 if matrix.is_complex() else 1) * (sum(matrix.shape) + 8)
    return math.sqrt(total) / length, gamma(terms) * frobenius
