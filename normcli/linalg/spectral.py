"""The door to the spectral norm: which matrix takes which route."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

import torch

from normcli.errors import UsageError, closest
from normcli.linalg.bracket import Goal, by_lanczos, by_trailing_energy
from normcli.linalg.certificate import dense
from normcli.linalg.cost import THREADED_ENTRIES, dense_is_possible, price
from normcli.linalg.matrix import row_major, wide, wide_dtype
from normcli.linalg.norms import census, largest_entry, power_of_two
from normcli.linalg.rounding import FROBENIUS_ROUNDING, gamma, outward
from normcli.linalg.threads import limit_this_thread, one_torch_thread
from normcli.records import CERTIFICATES, SpectralNorm
from normcli.stream import crew

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from normcli.stream import Crew

_LONG_OPERATIONS = 1024  # side from which the dense route is worth torch's own threads
_ONE_AT_A_TIME = Lock()  # for a dense certificate that was not asked for: nobody counts its memory


def spectral_norm(
    matrix: Tensor,
    *,
    rtol: float = 1e-6,
    certificate: str = "probabilistic",
    failure_probability: float = 1e-10,
    seed: int = 0,
    vectors: bool = False,
) -> SpectralNorm:
    """σ₁ = ‖W‖₂, the largest singular value, with lower ≤ σ₁ ≤ upper.

    The lower end is attained by a vector, in float64. The upper one is vouched for by a certificate

    `probabilistic`: block Lanczos from a random block; σ₁ > upper has at most the probability
        `failure_probability` over the start, for a matrix that does not depend on the seed.
    `deterministic`: float64 Gram matrix and one Cholesky factorization, no chance in it.
    `none`: the estimate alone; upper is ‖W‖_F.

    A matrix for which it is cheaper, or for which block Lanczos does not reach `rtol`, gets the
    deterministic certificate whatever was asked for. W is multiplied by a power of two where its
    squares would overflow, and never converted as a whole.

    Args:
        matrix: Shape (m, n), any floating or complex dtype.
        rtol: Relative width of the bracket; of the estimated error for `none`. A deterministic
            bracket is as narrow as float64 makes it, 1e-13 to 1e-8.
        certificate: One of `normcli.records.CERTIFICATES`.
        failure_probability: Of the probabilistic certificate.
        seed: Of the random start.
        vectors: Whether the result carries u and v, a top singular pair.

    Returns:
        `failure_probability` is 0 where chance has no part in the bracket. A matrix with NaN or Inf
        gives NaN (method `non-finite`), one without entries 0 (`empty`).

    Raises:
        UsageError: Not two axes, integers, or an option out of its range.
    """
    check_request(rtol, certificate, failure_probability)
    if matrix.ndim != 2 or not (matrix.is_floating_point() or matrix.is_complex()):
        what = f"{matrix.ndim} axes and dtype {str(matrix.dtype).removeprefix('torch.')}"
        raise UsageError(f"the matrix has {what}, expected 2 axes of a floating or complex dtype")
    with torch.no_grad():
        goal = Goal(rtol, failure_probability if certificate == "probabilistic" else 0.0, seed)
        found = _measured(matrix.detach(), certificate, goal)
        if certificate == "none" and found.method not in ("block-lanczos", "non-finite"):
            found = _uncertified(found, matrix)
        return found if vectors else replace(found, u=None, v=None)


def check_request(rtol: float, certificate: str, failure_probability: float) -> None:
    """Raise a `UsageError` for a request that cannot be meant."""
    if not 0 < rtol < 1:
        raise UsageError(f"rtol is {rtol}, expected a number between 0 and 1")
    if not 0 < failure_probability < 1:
        found = f"failure_probability is {failure_probability}"
        raise UsageError(f"{found}, expected a number between 0 and 1")
    if certificate not in CERTIFICATES:
        hint = closest(certificate, CERTIFICATES)
        raise UsageError(f"no certificate is called {certificate!r}", hint=hint)


def _measured(matrix: Tensor, certificate: str, goal: Goal) -> SpectralNorm:
    """By block Lanczos where that is cheaper, else as a special case or by the dense route."""
    m, n = matrix.shape
    certified, chance = certificate != "none", certificate != "deterministic"
    large = min(m, n) > 1 and price(m, n, matrix.dtype).lanczos_is_cheaper(certified=certified)
    found = _iterated(matrix, goal) if large and chance else None
    found = found or special(matrix)
    if large and not chance:
        found = found or _of_low_rank(matrix, goal)
    if found is not None:
        return found
    if not dense_is_possible(m, n):
        return _widest(matrix, goal)
    with _ONE_AT_A_TIME if large and chance else nullcontext():
        return _dense(matrix)


def special(matrix: Tensor) -> SpectralNorm | None:
    """The norm of a matrix that is empty, not finite, zero, or one row or column."""
    if matrix.numel() == 0:
        return SpectralNorm(0.0, 0.0, 0.0, 0.0, "empty", passes=0)
    whole = census(matrix)
    if whole.nan or whole.inf:
        return SpectralNorm(math.nan, math.nan, math.nan, 0.0, "non-finite", passes=1)
    if whole.frobenius == 0:
        u, v = (torch.eye(1, side, dtype=wide_dtype(matrix.dtype))[0] for side in matrix.shape)
        return SpectralNorm(0.0, 0.0, 0.0, 0.0, "zero", passes=1, u=u, v=v)
    return _of_vector(matrix, whole.frobenius) if min(matrix.shape) == 1 else None


def _of_vector(matrix: Tensor, norm: float) -> SpectralNorm:
    """One row or one column has one singular value: its norm."""
    slack = gamma(matrix.numel() + 4)
    first, second = power_of_two(norm)
    long = (wide(matrix) * first * second).flatten()
    long = long / torch.linalg.vector_norm(long)
    one = torch.ones(1, dtype=long.dtype, device=long.device)
    column = matrix.shape[1] == 1
    return outward(
        norm * (1 - slack),
        norm,
        norm * (1 + slack),
        method="vector",
        passes=1,
        gap=0.0,
        u=long if column else one,
        v=one if column else long.conj(),
    )


def _iterated(matrix: Tensor, goal: Goal) -> SpectralNorm | None:
    return _by_crew(matrix, lambda rows, together: by_lanczos(rows, goal, together))


def _of_low_rank(matrix: Tensor, goal: Goal) -> SpectralNorm | None:
    scale = power_of_two(largest_entry(matrix))
    return _by_crew(
        matrix, lambda rows, together: by_trailing_energy(rows, goal.seed, together, scale)
    )


def _by_crew(
    matrix: Tensor, find: Callable[[Tensor, Crew], SpectralNorm | None]
) -> SpectralNorm | None:
    """What is found of the matrix, or of its transpose where that has its rows in one piece."""
    rows, turned = row_major(matrix)
    with (
        one_torch_thread() as threads,
        crew(_workers(matrix, threads), limit_this_thread) as together,
    ):
        found = find(rows, together)
    return _turned(found) if turned and found is not None else found


def _dense(matrix: Tensor) -> SpectralNorm:
    rows, turned = row_major(matrix)
    scale = power_of_two(largest_entry(matrix))
    with nullcontext() if min(matrix.shape) > _LONG_OPERATIONS else one_torch_thread():
        found = dense(rows, scale)
    return _turned(found) if turned else found


def _widest(matrix: Tensor, goal: Goal) -> SpectralNorm:
    """The bracket of a matrix that is too large for all else, however wide it is."""
    found = _iterated(matrix, replace(goal, narrow=False))
    assert found is not None  # noqa: S101  a finite matrix that is not zero has Ritz values
    return replace(found, upper=min(found.upper, _above_frobenius(matrix)))


def _turned(found: SpectralNorm) -> SpectralNorm:
    """The norm of W from that of Wᵀ."""
    return replace(found, u=found.v.conj(), v=found.u.conj())


def _uncertified(found: SpectralNorm, matrix: Tensor) -> SpectralNorm:
    upper = max(_above_frobenius(matrix), found.value)
    return replace(found, upper=upper, failure_probability=0.0)


def _above_frobenius(matrix: Tensor) -> float:
    """‖W‖_F with its rounding behind it."""
    return census(matrix).frobenius * (1 + FROBENIUS_ROUNDING)


def _workers(matrix: Tensor, threads: int) -> int:
    return threads if matrix.numel() >= THREADED_ENTRIES and matrix.device.type == "cpu" else 1
