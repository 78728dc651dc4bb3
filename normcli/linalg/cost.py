"""What each route to σ₁ costs: the one place where a route is chosen by its price."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Seconds, of one core of a 2.7 GHz Xeon; only their ratios matter.
_STEP = 4e-4  # a block step beside its product: some thirty short operations
_ENTRY = 4e-10  # an entry of W in a product with four vectors, float32
_LOOK, _LOOK_CUBE = 3e-4, 2.2e-10  # a look at a run, and its part in columns³: eigenvectors of T
_FLOP = 1.2e-11  # of a float64 matrix product
_EIGENVALUES, _FACTOR = 8e-11, 4.5e-11  # n³ times these: all eigenvalues; Lanczos and Cholesky

CERTIFIED_BLOCK = 4  # vectors of a block: its δ is far above the rounding of float32
ESTIMATE_BLOCK = 3  # without a certificate: a product costs little more than with one
MOST_COLUMNS = 640  # of a Krylov basis: beyond it eigenvectors of T cost more than products
EIGENVALUE_SIDE = 640  # up to which all eigenvalues of a Gram matrix cost less than Lanczos on it
THREADED_ENTRIES = 2 << 20  # from which a product can be worth more than one thread
VERY_WIDE = 4  # n/m from which the vectors of a basis have to be those of the short side
_LOOKING = 0.1  # part of the time of the steps that may go into looks
_LIKELY_STEPS = 24  # between a trained matrix (9) and an untrained one (35 to 75)
_LIKELY_STEPS_OF_ESTIMATE = 12  # of (6) and (25 to 50)
_WORTH = 1.4  # times the price of the dense certificate that steps may cost before it is taken
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

    def lanczos_is_cheaper(self, *, certified: bool) -> bool:
        """Whether a likely number of steps costs less than the dense certificate."""
        likely = _LIKELY_STEPS if certified else _LIKELY_STEPS_OF_ESTIMATE
        return likely * self.step < self.dense

    @property
    def most_steps(self) -> int:
        """Steps after which the dense certificate is the better bet."""
        worth = int(_WORTH * self.dense / self.step)
        return max(16, min(MOST_COLUMNS // CERTIFIED_BLOCK, worth))

    def looks_apart(self, columns: int) -> int:
        """Steps between two looks at a run whose basis has so many columns."""
        return math.ceil((_LOOK + _LOOK_CUBE * columns**3) / (_LOOKING * self.step))


def price(m: int, n: int, dtype: torch.dtype) -> Price:
    """What the two routes cost for an m × n matrix; products are in float32 at least."""
    side, other = min(m, n), max(m, n)
    complex_ = 4 if dtype.is_complex else 1
    real_size = max(4, dtype.itemsize // (2 if dtype.is_complex else 1))
    peak = _EIGENVALUES if side <= EIGENVALUE_SIDE else _FACTOR
    dense = complex_ * side * side * (2 * other * _FLOP + side * peak)
    step = _STEP + complex_ * m * n * _ENTRY * real_size / 4
    return Price(dense, step)


def dense_is_possible(m: int, n: int) -> bool:
    """Whether the Gram matrix fits into the memory that anybody would give for it."""
    return _GRAM_BYTES * min(m, n) ** 2 <= _GRAM_LIMIT


def spectral_norm_memory(m: int, n: int, certificate: str) -> int:
    """Bytes that the spectral norm of an m × n matrix takes beside the matrix itself.

    A large matrix on which block Lanczos does not converge takes those of the dense certificate,
    but only one at a time does.
    """
    side = min(m, n)
    dense = 2 * _GRAM_BYTES * side * side + (96 << 20)  # twice: some of it may be complex
    if certificate == "deterministic" or side <= EIGENVALUE_SIDE:
        return dense
    length = m if n > VERY_WIDE * m else n
    return 8 * (MOST_COLUMNS * length + MOST_COLUMNS**2 * 4) + (8 << 20)
