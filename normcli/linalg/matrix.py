"""The matrix of a weight, and how to walk it in float64 without converting it as a whole."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from normcli.records import other_axes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

# Entries of one float64 panel: 256 KiB, which stays in the second-level cache of a core, and no
# more than torch's grain, below which it does not wake other threads: on a busy machine thousands
# of parallel operations this short took a hundred times longer than the same work in one thread.
PANEL = 32 * 1024


def matrix_shape(shape: tuple[int, ...], axis: int | None) -> tuple[int, int]:
    """(m, n) of the matrix with `axis` as its rows; None is axis 0, a scalar is 1 × 1."""
    if not shape:
        return 1, 1
    return shape[axis or 0], other_axes(shape, axis or 0)


def as_matrix(weight: Tensor, axis: int | None = 0) -> Tensor:
    """The weight with `axis` first and all others behind it in order, shape (m, n).

    As torch's parametrized spectral norm does it (`permute`, `flatten(1)`), strides included. A
    view where the strides allow one, else a copy.
    """
    shape = matrix_shape(tuple(weight.shape), axis)
    if axis and weight.ndim > 1:
        weight = weight.permute(axis, *(d for d in range(weight.ndim) if d != axis))
    return weight if weight.ndim == 2 else weight.reshape(shape)


def as_hooked(matrix: Tensor) -> Tensor:
    """The same matrix as torch's hook makes it, by `reshape`.

    A 1 × n view then has other strides, products with it another kernel, and σ another last bit.
    """
    return matrix.reshape(matrix.shape)


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """Float64, or complex128 for complex."""
    return torch.complex128 if dtype.is_complex else torch.float64


def wide(panel: Tensor) -> Tensor:
    """The same numbers in float64 (complex128): exact for every dtype that normcli measures.

    On the CPU where the device has no float64 (MPS).
    """
    if panel.device.type == "mps":
        panel = panel.cpu()
    return panel.to(wide_dtype(panel.dtype))


def sum_of(parts: Sequence[Tensor]) -> Tensor:
    """Their sum from the first to the last, in the memory of the first."""
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total


def scaled(panel: Tensor, scale: tuple[float, float]) -> Tensor:
    """The panel in float64 times two powers of two, whose product alone may overflow."""
    factor = scale[0] * scale[1]
    if factor and math.isfinite(factor):
        return wide(panel) * factor
    return wide(panel) * scale[0] * scale[1]


def row_major(matrix: Tensor) -> tuple[Tensor, bool]:
    """(the matrix or its transpose, whether it is the transpose), each row of it in one piece.

    A copy only where neither has its rows so.
    """
    if matrix.stride(1) == 1 or matrix.shape[1] == 1:
        return matrix, False
    return (matrix.T, True) if matrix.stride(0) == 1 else (matrix.contiguous(), False)


def row_panels(matrix: Tensor, entries: int = PANEL) -> Iterator[Tensor]:
    """Panels of consecutive rows, as stored, about `entries` entries each."""
    m, n = matrix.shape
    height = max(1, entries // max(1, n))
    for first in range(0, m, height):
        yield matrix[first : first + height]


def column_panels(matrix: Tensor, entries: int) -> Iterator[Tensor]:
    """Panels of consecutive columns, as stored, about `entries` entries each."""
    m, n = matrix.shape
    width = max(1, entries // max(1, m))
    for first in range(0, n, width):
        yield matrix[:, first : first + width]
