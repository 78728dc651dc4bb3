"""Products with WᴴW by panels of rows: one reading of W each, and never a converted copy of it."""

from __future__ import annotations

from itertools import pairwise
from threading import local
from typing import TYPE_CHECKING

import torch

from normcli.linalg.matrix import wide, wide_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from normcli.stream import Crew

_PANEL_BYTES = 704 * 1024  # with what it is multiplied with, it stays in a core's own cache
_DEVICE_PANEL_BYTES = 256 << 20  # an accelerator wants few long operations
_VERY_WIDE = 4  # n/m from which the vectors have to be those of the short side
_PARTS = 8  # sums that are kept apart, by any number of threads: the same bits for all of them
_MILD = 2.0**100  # entries between this and its inverse need no scaling before they are multiplied


class Gram:
    """A = W′ᴴW′ for W′ = W · first · second (W′W′ᴴ of a very wide W), never formed.

    Args:
        matrix: Shape (m, n), each row in one piece; any floating or complex dtype.
        dtype: Of the arithmetic. Panels of another dtype are converted into a reused buffer.
        scale: Two powers of two.
        together: Who works.

    Attributes:
        side: Order of A.
        scale: As given.
        shape: (m, n) of the matrix.
        dtype: As given.
        of_rows: Whether A is W′W′ᴴ.
    """

    def __init__(
        self, matrix: Tensor, dtype: torch.dtype, scale: tuple[float, float], together: Crew
    ) -> None:
        m, n = self.shape = (matrix.shape[0], matrix.shape[1])
        self.of_rows = n > _VERY_WIDE * m
        self.side = m if self.of_rows else n
        self._matrix = matrix
        self.dtype = dtype
        self.scale = scale
        self._together = together
        self._mild = 1 / _MILD <= scale[0] * scale[1] <= _MILD
        self._factor = scale[0] * scale[1] if self._mild else 1.0
        self._direct = self._mild and matrix.dtype == dtype
        self._shares = _shares(matrix, dtype)
        self._buffers = local()

    @property
    def is_wide(self) -> bool:
        """Whether the arithmetic is float64 (complex128)."""
        return self.dtype == wide_dtype(self.dtype)

    def in_float64(self) -> Gram:
        """The same in float64 (complex128)."""
        if self.is_wide:
            return self
        return Gram(self._matrix, wide_dtype(self.dtype), self.scale, self._together)

    def empty(self) -> Tensor:
        """No entries, of the dtype and on the device of the arithmetic."""
        return torch.empty(0, dtype=self.dtype, device=self._matrix.device)

    def image(self, rows: Tensor) -> Tensor:
        """W′xᵢ by rows (W′ᴴxᵢ of a very wide W): ‖·‖²/‖xᵢ‖² is the Rayleigh quotient of A."""
        if self.of_rows:
            return self._scaled(_sum(self._each(lambda turn: self._back(turn, rows))))
        return self._scaled(torch.cat(self._each(lambda turn: self._there(turn, rows)), 1))

    def __call__(self, rows: Tensor) -> Tensor:
        """Row i of the result is A xᵢ, xᵢ row i of `rows`; shape (b, side), in the dtype given."""
        if self.of_rows:
            image = self.image(rows)
            return self._scaled(torch.cat(self._each(lambda turn: self._there(turn, image)), 1))
        return self._scaled(_sum(self._each(lambda turn: self._there_and_back(turn, rows))))

    def with_images(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(A xᵢ, what `image` gives), each by rows; one reading of W where that is enough."""
        if self.of_rows:
            image = self.image(rows)
            return self._scaled(torch.cat(self._each(lambda t: self._there(t, image)), 1)), image
        images: dict[int, list[Tensor]] = {turn: [] for turn in range(len(self._shares))}
        applied = _sum(self._each(lambda t: self._there_and_back(t, rows, images[t])))
        between = torch.cat([image for turn in images.values() for image in turn], 1)
        return self._scaled(applied), between

    def _each(self, part: Callable[[int], Tensor]) -> list[Tensor]:
        return self._together(part, len(self._shares))

    def _scaled(self, rows: Tensor) -> Tensor:
        return rows if self._factor == 1 else rows.mul_(self._factor)

    def _there(self, turn: int, rows: Tensor) -> Tensor:
        """Columns of W xᵢ."""
        return torch.cat([rows @ panel.mT for _, panel in self._panels(turn)], 1)

    def _back(self, turn: int, rows: Tensor) -> Tensor:
        """The share of Wᴴxᵢ."""
        total = rows.new_zeros(len(rows), self.shape[1])
        for here, panel in self._panels(turn):
            total.addmm_(rows[:, here], panel.conj())
        return total

    def _there_and_back(
        self, turn: int, rows: Tensor, images: list[Tensor] | None = None
    ) -> Tensor:
        """The share of WᴴW xᵢ, each panel used twice while it is in the cache."""
        total = torch.zeros_like(rows)
        for _, panel in self._panels(turn):
            image = self._scaled(torch.mm(rows, panel.mT))
            total.addmm_(image, panel.conj())
            if images is not None:
                images.append(image)
        return total

    def _panels(self, turn: int) -> Iterator[tuple[slice, Tensor]]:
        """(which rows, the panel) of one share."""
        for here in self._shares[turn]:
            panel = self._matrix[here]
            yield here, panel if self._direct else self._converted(panel)

    def _converted(self, panel: Tensor) -> Tensor:
        """The panel in the dtype of the arithmetic, scaled where that cannot wait."""
        if not self._mild:
            panel = wide(panel) * self.scale[0] * self.scale[1]
        elif self.is_wide and panel.device.type == "mps":
            panel = wide(panel)
        return self._buffer(panel)[: len(panel)].copy_(panel)

    def _buffer(self, panel: Tensor) -> Tensor:
        """This thread's own; the first panel is the highest."""
        buffer: Tensor | None = getattr(self._buffers, "panel", None)
        if buffer is None:
            buffer = torch.empty(panel.shape, dtype=self.dtype, device=panel.device)
            self._buffers.panel = buffer
        return buffer


def _sum(parts: list[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total


def _shares(matrix: Tensor, dtype: torch.dtype) -> list[list[slice]]:
    """The panels of rows of each part of the sum."""
    m, n = matrix.shape
    here = matrix.device.type == "cpu"
    fit = (_PANEL_BYTES if here else _DEVICE_PANEL_BYTES) // (n * dtype.itemsize)
    height = max(16, fit // 16 * 16)
    panels = [slice(first, min(m, first + height)) for first in range(0, m, height)]
    parts = min(_PARTS if here else 1, len(panels))
    ends = [len(panels) * part // parts for part in range(parts + 1)]
    return [panels[first:last] for first, last in pairwise(ends)]
