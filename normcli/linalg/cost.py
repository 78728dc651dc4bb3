"""What each route to σ₁ costs: the one place where a route is chosen by its price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Seconds, of one core of a 2.7 GHz Xeon; only their ratios matter.
_STEP = 2e-4  # a block step beside its product: thirty short operations
_ENTRY = 4.5e-10  # an entry of W in a product with four vectors, float32
_FLOP = 2e-11  # of float64 matrix products; a Cholesky factorization runs at half of that
_EIGENVALUE = 6e-11  # n³ times this: `eigvalsh` of a Gram matrix

BLOCK = 4  # vectors of a block: δ is far above rounding, and a product costs little more than one
MOST_COLUMNS = 640  # of a Krylov basis: beyond it eigenvectors of T cost more than products
EIGENVALUE_SIDE = 256  # up to which all eigenvalues of a Gram matrix cost less than Lanczos on it
THREADED_ENTRIES = 1 << 20  # from which a product is worth more than one thread
_LIKELY_PASSES = 40  # between a trained matrix (10) and an untrained one (70)
_GRAM_BYTES = 3 * 8  # of an entry of the Gram matrix: itself, its shifted copy, its factor
_GRAM_LIMIT = 32 << 30  # bytes beyond which nobody is served by a dense certificate


@dataclass(frozen=True, slots=True)
class Price:
    """Seconds of the routes for one matrix: useful in proportion only.

    Attributes:
        dense: Gram matrix of the smaller side and one Cholesky factorization.
        step: One step of block Lanczos.
    """

    dense: float
    step: float

    @property
    def lanczos_is_cheaper(self) -> bool:
        """Whether a likely number of steps costs less than the dense certificate."""
        return _LIKELY_PASSES * self.step < self.dense

    @property
    def most_steps(self) -> int:
        """Steps after which the dense certificate would have been cheaper."""
        return max(16, min(MOST_COLUMNS // BLOCK, int(self.dense / self.step)))


def price(m: int, n: int, dtype: torch.dtype) -> Price:
    """What the two routes cost for an m × n matrix, `dtype` that of the products."""
    side, other = min(m, n), max(m, n)
    complex_ = 4 if dtype.is_complex else 1
    real_size = dtype.itemsize // (2 if dtype.is_complex else 1)
    dense = complex_ * side * side * (2 * other * _FLOP + side * (_FLOP + _eigenvalue(side)))
    step = _STEP + complex_ * m * n * _ENTRY * real_size / 4
    return Price(dense, step)


def _eigenvalue(side: int) -> float:
    return _EIGENVALUE if side <= EIGENVALUE_SIDE else 0.0


def dense_is_possible(m: int, n: int) -> bool:
    """Whether the Gram matrix fits into the memory that anybody would give for it."""
    return _GRAM_BYTES * min(m, n) ** 2 <= _GRAM_LIMIT


def spectral_norm_memory(m: int, n: int, certificate: str) -> int:
    """Bytes that the spectral norm of an m × n matrix takes beside the matrix itself."""
    side = min(m, n)
    dense = 2 * _GRAM_BYTES * side * side  # twice: some of it may be complex
    if certificate == "deterministic" or side <= EIGENVALUE_SIDE:
        return dense
    length = m if n > 4 * m else n
    return 8 * (MOST_COLUMNS * length + MOST_COLUMNS**2 * 4) + (8 << 20)
