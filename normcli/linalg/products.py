"""Products with WᴴW by panels of rows: one reading of W each, and never a converted copy of it."""

from __future__ import annotations

from itertools import pairwise
from threading import local
from typing import TYPE_CHECKING

import torch

from normcli.linalg.cost import VERY_WIDE
from normcli.linalg.matrix import scaled, sum_of, wide, wide_dtype
from normcli.stream import alone, paced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

    from normcli.stream import Crew

_PANEL_BYTES = 704 * 1024  # with what it is multiplied with, it stays in a core's own cache
_DEVICE_PANEL_BYTES = 256 << 20  # an accelerator wants few long operations
_PARTS = 8  # sums that are kept apart, by any number of threads: the same bits for all of them
_MILD = 2.0**100  # entries between this and its inverse need no scaling before they are multiplied


class Gram:
    """A = W′ᴴW′ or W′W′ᴴ for W′ = W · first · second, never formed.

    Args:
        matrix: Shape (m, n), each row in one piece; any floating or complex dtype.
        dtype: Of the arithmetic. Panels of another dtype are converted into a reused buffer.
        scale: Two powers of two.
        together: Who works.
        of_rows: Whether A is to be W′W′ᴴ; without, that is so for a very wide W.

    Attributes:
        side: Order of A.
        scale: As given.
        shape: (m, n) of the matrix.
        dtype: As given.
        of_rows: Whether A is W′W′ᴴ.
        together: As given.
    """

    def __init__(
        self,
        matrix: Tensor,
        dtype: torch.dtype,
        scale: tuple[float, float],
        together: Crew = alone,
        *,
        of_rows: bool | None = None,
    ) -> None:
        m, n = self.shape = (matrix.shape[0], matrix.shape[1])
        self.of_rows = n > VERY_WIDE * m if of_rows is None else of_rows
        self.side = m if self.of_rows else n
        self.dtype = dtype
        self._matrix = matrix
        self.scale = scale
        self.together = together
        self._paced = paced(together)
        self._mild = 1 / _MILD <= scale[0] * scale[1] <= _MILD
        self._factor = scale[0] * scale[1] if self._mild else 1.0
        self._direct = self._mild and matrix.dtype == dtype
        self._stored = [
            [(here, matrix[here]) for here in share] for share in _shares(matrix, dtype)
        ]
        self._buffers = local()

    @property
    def is_wide(self) -> bool:
        """Whether the arithmetic is float64 (complex128)."""
        return self.dtype == wide_dtype(self.dtype)

    def in_float64(self) -> Gram:
        """The same in float64 (complex128)."""
        if self.is_wide:
            return self
        return Gram(
            self._matrix,
            wide_dtype(self.dtype),
            self.scale,
            self.together,
            of_rows=self.of_rows,
        )

    def empty(self) -> Tensor:
        """No entries, of the dtype and on the device of the arithmetic."""
        return torch.empty(0, dtype=self.dtype, device=self._matrix.device)

    def image(self, rows: Tensor) -> Tensor:
        """W′xᵢ by rows (W′ᴴxᵢ of a very wide W): ‖·‖²/‖xᵢ‖² is the Rayleigh quotient of A."""
        if self.of_rows:
            return self._scaled(sum_of(self._each(lambda turn: self._back(turn, rows))))
        return self._scaled(torch.cat(self._each(lambda turn: self._there(turn, rows)), 1))

    def image_and_energy(self, rows: Tensor) -> tuple[Tensor, float]:
        """(the same, ‖W′‖_F²), in one reading of W; each panel is summed in this dtype."""
        energies = [0.0] * len(self._stored)

        def part(turn: int) -> Tensor:
            if not self.of_rows:
                return self._there(turn, rows, energies)
            energies[turn] = sum(_square_sum(panel) for _, panel in self._panels(turn))
            return self._back(turn, rows)

        parts = self._each(part)
        image = self._scaled(sum_of(parts) if self.of_rows else torch.cat(parts, 1))
        return image, sum(energies) * self._factor**2

    def __call__(self, rows: Tensor) -> Tensor:
        """Row i of the result is A xᵢ, xᵢ row i of `rows`; shape (b, side), in the dtype given."""
        if self.of_rows:
            image = self.image(rows)
            return self._scaled(torch.cat(self._each(lambda turn: self._there(turn, image)), 1))
        return self._scaled(sum_of(self._each(lambda turn: self._there_and_back(turn, rows))))

    def with_images(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(A xᵢ, what `image` gives), each by rows; one reading of W where that is enough."""
        if self.of_rows:
            image = self.image(rows)
            return self._scaled(torch.cat(self._each(lambda t: self._there(t, image)), 1)), image
        images: dict[int, list[Tensor]] = {turn: [] for turn in range(len(self._stored))}
        applied = sum_of(self._each(lambda t: self._there_and_back(t, rows, images[t])))
        between = torch.cat([image for turn in images.values() for image in turn], 1)
        return self._scaled(applied), between

    def _each(self, part: Callable[[int], Tensor]) -> list[Tensor]:
        return self._paced(part, len(self._stored))

    def _scaled(self, rows: Tensor) -> Tensor:
        return rows if self._factor == 1 else rows.mul_(self._factor)

    def _there(self, turn: int, rows: Tensor, energies: list[float] | None = None) -> Tensor:
        """Columns of W xᵢ."""
        images = []
        for _, panel in self._panels(turn):
            images.append(rows @ panel.mT)
            if energies is not None:
                energies[turn] += _square_sum(panel)
        return torch.cat(images, 1)

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

    def _panels(self, turn: int) -> Iterable[tuple[slice, Tensor]]:
        """(which rows, the panel) of one share."""
        stored = self._stored[turn]
        return stored if self._direct else ((here, self._converted(each)) for here, each in stored)

    def _converted(self, panel: Tensor) -> Tensor:
        """The panel in the dtype of the arithmetic, scaled where that cannot wait."""
        if not self._mild:
            panel = scaled(panel, self.scale)
        elif self.is_wide and panel.device.type == "mps":
            panel = wide(panel)
        return self._buffer(panel.device)[: len(panel)].copy_(panel)

    def _buffer(self, device: torch.device) -> Tensor:
        """This thread's own, with room for the highest panel: the first of all."""
        buffer: Tensor | None = getattr(self._buffers, "panel", None)
        if buffer is None:
            highest = self._stored[0][0][1]
            buffer = torch.empty(highest.shape, dtype=self.dtype, device=device)
            self._buffers.panel = buffer
        return buffer


def _square_sum(panel: Tensor) -> float:
    entries = (torch.view_as_real(panel.resolve_conj()) if panel.is_complex() else panel).flatten()
    return float(torch.dot(entries, entries))


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
