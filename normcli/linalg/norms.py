"""Norms that one pass over the entries gives, in float64 whatever the dtype."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from normcli.linalg.matrix import PANEL, row_panels, wide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor

# Outside of this range a float64 sum of squares has overflowed or lost its small entries.
_SMALLEST, _LARGEST = 1e-280, 1e280


@dataclass(frozen=True, slots=True)
class Census:
    """What one pass over the entries tells.

    Attributes:
        frobenius: √Σ|w|², summed in float64; NaN where an entry is NaN, else Inf where one is.
        nan: Number of NaN entries (a complex entry counts once).
        inf: Number of infinite entries that are not NaN.
    """

    frobenius: float
    nan: int
    inf: int


def census(tensor: Tensor) -> Census:
    """‖W‖_F = √Σ|w|² and the number of entries that are not finite; shape does not matter.

    Panels of 32 k entries are converted to float64 and summed: relative error below
    γ(2¹⁵ + numel/2¹⁵) ≈ 4e-12 in the worst case, about 1e-15 in practice. Squares neither
    overflow nor underflow: outside of 1e±280 the sum is repeated with a power-of-two scale.
    """
    return census_of_pieces(lambda: flat_panels(tensor))


def census_of_pieces(pieces: Callable[[], Iterable[Tensor]]) -> Census:
    """The census of all entries that `pieces()` gives; it is asked again where a sum is special.

    Args:
        pieces: Gives each entry once, in 1-D tensors of any length.
    """
    squares = _square_sum(pieces())
    if _SMALLEST < squares < _LARGEST:
        return Census(math.sqrt(squares), 0, 0)
    nan, inf = _not_finite(pieces())
    if nan or inf:
        return Census(math.nan if nan else math.inf, nan, inf)
    return Census(_scaled_frobenius(pieces), 0, 0)


def vector_norm(vector: Tensor) -> float:
    """‖x‖₂ in float64; NaN and Inf as in `census`."""
    return census(vector).frobenius


def largest_entry(tensor: Tensor) -> float:
    """Max |w|, of the real and imaginary parts where complex; 0 for an empty tensor."""
    return _largest(flat_panels(tensor))


def _largest(pieces: Iterable[Tensor]) -> float:
    return max((float(_real(wide(p)).abs().max()) for p in pieces if p.numel()), default=0.0)


def power_of_two(magnitude: float) -> tuple[float, float]:
    """2⁻ᵉ with e = ⌊log₂ magnitude⌋, as two factors: one alone overflows below 2⁻¹⁰²²."""
    exponent = math.frexp(magnitude)[1] - 1
    half = exponent // 2
    return math.ldexp(1.0, -half), math.ldexp(1.0, half - exponent)


def zero_rows(matrix: Tensor) -> int:
    """Number of rows of the (m, n) matrix that hold nothing but zeros; 0 where n = 0."""
    if matrix.shape[1] == 0:
        return 0
    return sum(int((~(wide(panel) != 0).any(dim=1)).sum()) for panel in row_panels(matrix))


def flat_panels(tensor: Tensor) -> Iterator[Tensor]:
    """Stored entries in panels of 32 k, each in memory order where the strides allow it."""
    if tensor.is_contiguous():
        flat = tensor.reshape(-1)
    else:
        dense = torch.argsort(torch.tensor(tensor.stride()), descending=True, stable=True)
        flat = tensor.permute(*dense.tolist()).reshape(-1)
    for first in range(0, flat.numel(), PANEL):
        yield flat[first : first + PANEL]


def _real(panel: Tensor) -> Tensor:
    return torch.view_as_real(panel).flatten() if panel.is_complex() else panel


def _square_sum(pieces: Iterable[Tensor], scale: tuple[float, float] = (1.0, 1.0)) -> float:
    """Σ(scale·|w|)² in float64, converted in one buffer that stays in the cache."""
    total = 0.0
    buffer = torch.empty(0, dtype=torch.float64)
    for piece in pieces:
        entries = _real(piece)
        if entries.numel() > buffer.numel():
            buffer = torch.empty(entries.numel(), dtype=torch.float64)
        squares = buffer[: entries.numel()].copy_(entries)
        if scale != (1.0, 1.0):
            squares.mul_(scale[0]).mul_(scale[1])
        total += _dot(squares)
    return total


def _dot(entries: Tensor) -> float:
    """Σx²; MKL's `dot` is the fastest, but runs even short ones in several threads: see `PANEL`."""
    if torch.get_num_threads() == 1:
        return float(torch.dot(entries, entries))
    return float(entries.square_().sum())


def _not_finite(pieces: Iterable[Tensor]) -> tuple[int, int]:
    nan = inf = 0
    for piece in pieces:
        entries = wide(piece)
        missing = int(entries.isnan().sum())
        nan += missing
        inf += int((~entries.isfinite()).sum()) - missing
    return nan, inf


def _scaled_frobenius(pieces: Callable[[], Iterable[Tensor]]) -> float:
    largest = _largest(pieces())
    if largest == 0:
        return 0.0
    first, second = power_of_two(largest)
    squares = _square_sum(pieces(), (first, second))
    return math.sqrt(squares) / first / second
