"""A block Krylov space of a Hermitian matrix: orthonormal basis and projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from normcli.linalg.matrix import sum_of, wide, wide_dtype
from normcli.stream import alone, paced

if TYPE_CHECKING:
    from torch import Tensor

    from normcli.stream import Crew

_LONG = 1 << 20  # entries of a basis from which its columns are shared among threads
_SLICE = 2048  # columns of a share
_FIRST_BLOCKS = 16  # room that is made at first; it is doubled when it is used up
_PANEL = 32  # vectors that are converted to float64 at a time
_DEPENDENT = 1e-4  # Cholesky factors a Gram matrix well if no pivot is smaller than this
_LOST = 0.02  # what is left of an image that has to be made orthogonal once more
_FAINT = 1e-3  # and what it is beside the largest image: components on the top are felt there
_NOTHING = 4  # roundoffs of its block: a direction this small is replaced by a random one


@dataclass(frozen=True, slots=True)
class Ritz:
    """Eigenvalues of T = QᴴAQ, and what of its eigenvectors bounds and residuals need.

    Attributes:
        values: Ascending, shape (K,), float64.
        first: First b components of every eigenvector, shape (b, K).
        last: Their last b components times the coupling to the next block, shape (K, b).
        top: Eigenvector of the largest, shape (K,).
    """

    values: Tensor
    first: Tensor
    last: Tensor
    top: Tensor

    @property
    def theta(self) -> float:
        """Largest Ritz value: never above the largest eigenvalue of A but for rounding."""
        return float(self.values[-1])

    @property
    def second(self) -> float:
        """Second largest Ritz value, or 0."""
        return max(0.0, float(self.values[-2])) if len(self.values) > 1 else 0.0

    @property
    def energy(self) -> float:
        """Tr T: the part of tr A that the space has seen."""
        return float(self.values.sum())

    @property
    def coupling(self) -> float:
        """‖B‖₂ of the coupling to the next block."""
        return float(torch.linalg.matrix_norm(self.last, 2))

    @property
    def estimated_error(self) -> float:
        """Estimate of σ₁/√θ − 1 from ‖r‖²/gap, r = Ax − θx of the top Ritz vector; no bound."""
        residual = float(torch.linalg.vector_norm(self.last[-1]))
        gap = max(self.theta - self.second, residual)
        return 0.5 * residual * residual / (gap * self.theta) if gap > 0 else 0.0


class Krylov:
    """Block Lanczos with full reorthogonalization: A Qₖ = Qₖ Tₖ + Qₖ₊₁ Bₖ Eₖᴴ.

    Vectors are rows, in the dtype of the products; the projection is float64 on the CPU.

    Args:
        start: Shape (b, n), linearly independent rows.
        generator: Of the directions that replace missing ones.
        together: Who works on long vectors.
    """

    def __init__(
        self,
        start: Tensor,
        dtype: torch.dtype,
        generator: torch.Generator,
        together: Crew = alone,
    ) -> None:
        self.width, n = start.shape
        room = self.width * _FIRST_BLOCKS
        self._generator = generator
        self._together = paced(together)
        self._vectors = torch.empty(room, n, dtype=dtype, device=start.device)
        self._projection = torch.zeros(room, room, dtype=wide_dtype(dtype))
        self._size = 0  # columns of the basis, without the newest block
        self._largest = 0.0  # length of an image so far
        self._put(torch.linalg.qr(wide(start).T).Q.T)

    @property
    def steps(self) -> int:
        """Products with A that were taken in."""
        return self._size // self.width

    @property
    def has_room(self) -> bool:
        """Whether the whole space has room for another block."""
        return self._size + 2 * self.width <= self._vectors.shape[1]

    @property
    def is_spent(self) -> bool:
        """Whether the newest block comes from rounding alone: A leads nowhere new."""
        spent = _NOTHING * torch.finfo(self._vectors.dtype).eps * self._largest
        return float(torch.linalg.matrix_norm(self.coupling)) <= spent

    @property
    def newest(self) -> Tensor:
        """The block whose product with A is wanted next, shape (b, n)."""
        return self._vectors[self._size : self._size + self.width]

    def extend(self, image: Tensor) -> None:
        """Take in A · `newest`, shape (b, n), which is overwritten."""
        old, end = self._size, self._size + self.width
        known = self._vectors[:end]
        near = known[max(0, old - self.width) :]
        before = float(torch.linalg.vector_norm(image)) / self.width**0.5
        self._largest = max(self._largest, before)
        diagonal = self._removed(image, near)[:, -self.width :]  # of the recurrence, nearly all
        diagonal += self._removed(image, known)[:, old:]  # and what its rounding has left
        block, coupling = self._orthonormal(image, known, before)
        self._projection[old:end, old:end] = (diagonal.T + diagonal.conj()) / 2
        self._size = end
        self._put(block)
        self._projection[end : end + self.width, old:end] = coupling
        self._projection[old:end, end : end + self.width] = coupling.mH

    def ritz(self) -> Ritz:
        """Eigenvalues of the projection."""
        size, width = self._size, self.width
        values, vectors = torch.linalg.eigh(self._projection[:size, :size])
        last = vectors[-width:].mH @ self.coupling.mH
        return Ritz(values, vectors[:width], last, vectors[:, -1])

    def random_coefficients(self, count: int) -> Tensor:
        """Rows of random coefficients of the basis, unit vectors."""
        shape, dtype = (count, self._size), self._projection.dtype
        rows = torch.randn(shape, dtype=dtype, generator=self._generator)
        lengths: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        return rows / lengths

    def combine(self, coefficients: Tensor) -> Tensor:
        """Rows Σⱼ cⱼ qⱼ for each row of coefficients, in the dtype of the basis."""
        basis = self._vectors[: self._size]
        return coefficients.to(dtype=basis.dtype, device=basis.device) @ basis

    def image(self, coefficients: Tensor) -> Tensor:
        """What A · `combine(coefficients)` should be: rows of Q T c + Qₖ₊₁ B cₖ, float64."""
        size = self._size
        inside = coefficients @ self._projection[:size, :size].T
        outside = coefficients[:, -self.width :] @ self.coupling.T
        whole = torch.cat([inside, outside], 1)
        basis = self._vectors[: size + self.width]
        total = wide(basis[:1]).new_zeros(len(coefficients), basis.shape[1])
        for k in range(0, len(basis), _PANEL):  # the basis is never converted as a whole
            total.addmm_(whole[:, k : k + _PANEL].to(total), wide(basis[k : k + _PANEL]))
        return total

    @property
    def coupling(self) -> Tensor:
        """B of the newest block, shape (b, b)."""
        end = self._size
        return self._projection[end : end + self.width, end - self.width : end]

    def _removed(self, rows: Tensor, basis: Tensor) -> Tensor:
        """Take the components along the basis out of the rows, in place; (b, K), float64, CPU."""
        n = rows.shape[1]
        cut = _SLICE if basis.numel() >= _LONG and rows.device.type == "cpu" else n
        parts = [(rows[:, k : k + cut], basis[:, k : k + cut]) for k in range(0, n, cut)]
        components = sum_of(self._together(lambda t: parts[t][0] @ parts[t][1].mH, len(parts)))
        self._together(lambda t: parts[t][0].addmm_(components, parts[t][1], alpha=-1), len(parts))
        return wide(components).cpu()

    def _put(self, block: Tensor) -> None:
        """Append the next block, in a larger room where this one is full."""
        end = self._size + self.width
        if end > len(self._vectors):
            self._vectors = _grown(self._vectors, 2 * len(self._vectors), self._vectors.shape[1])
            self._projection = _grown(self._projection, len(self._vectors), len(self._vectors))
        self._vectors[self._size : end] = block.to(self._vectors)

    def _orthonormal(self, image: Tensor, known: Tensor, before: float) -> tuple[Tensor, Tensor]:
        """(orthonormal rows Q, B) with image = Bᵀ Q and Q ⟂ the basis; image ⟂ it to rounding."""
        block, factor = _whitened(wide(image))
        if factor is None:
            return self._replaced(wide(image), known)
        if float(factor.diagonal().real.min()) < max(_LOST * before, _FAINT * self._largest):
            again = block.to(known)
            for _ in range(2):
                self._removed(again, known)
            block, second = _whitened(wide(again))
            if second is None:
                return self._replaced(wide(image), known)
            factor = factor @ second
        return block, factor.T

    def _replaced(self, image: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """The same for dependent rows: random directions with zero rows in B where there is none.

        The recurrence and the bound stay as they are: a product with A never led there.
        """
        left, sizes, right = torch.linalg.svd(image.T, full_matrices=False)
        coupling = (sizes[:, None] * right).cpu()
        missing = sizes <= _NOTHING * torch.finfo(known.dtype).eps * self._largest
        noise = torch.randn(
            (self.width, known.shape[1]), dtype=coupling.dtype, generator=self._generator
        )
        rows = torch.where(missing[:, None], noise.to(image), left.T)
        coupling[missing.cpu()] = 0
        for _ in range(3):
            rows = rows.to(known)
            self._removed(rows, known)
            rows = torch.linalg.qr(wide(rows).T).Q.T
        turned = rows.conj() @ left  # QR may flip a sign
        keep = ~missing
        return rows, torch.where(keep[:, None].cpu(), turned.cpu() @ coupling, 0)


def _whitened(rows: Tensor) -> tuple[Tensor, Tensor | None]:
    """(L⁻¹ rows, L) with L Lᴴ = rows · rowsᴴ; no L where the rows are nearly dependent."""
    factor, failed = torch.linalg.cholesky_ex(rows @ rows.mH)
    pivots = factor.diagonal().real
    if int(failed) or not float(pivots.min()) > _DEPENDENT * float(pivots.max()):
        return rows, None
    return torch.linalg.solve_triangular(factor, rows, upper=False), factor.cpu()


def _grown(tensor: Tensor, rows: int, columns: int) -> Tensor:
    grown = tensor.new_zeros(rows, columns)
    grown[: tensor.shape[0], : tensor.shape[1]] = tensor
    return grown
