"""σ₁ by this engine and by its peers, each as one call."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from scipy.linalg import LinAlgError
from scipy.sparse.linalg import ArpackError, svds
from sklearn.utils.extmath import randomized_svd

from normcli.linalg import spectral_norm

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from normcli.records import SpectralNorm

FAILURES = (LinAlgError, ArpackError)  # a peer gave up on a matrix

# Each takes the matrix as it is stored.
ENGINE: dict[str, Callable[[Tensor], SpectralNorm]] = {
    "normcli": spectral_norm,
    "normcli none 1e-7": partial(spectral_norm, certificate="none", rtol=1e-7),
    "normcli deterministic": partial(spectral_norm, certificate="deterministic"),
}


def matrix_norm(matrix: Tensor) -> float:
    """All singular values by LAPACK, in float32."""
    return torch.linalg.matrix_norm(matrix, 2).item()


def arpack(matrix: Tensor) -> float:
    """Implicitly restarted Lanczos; a value without a bound."""
    return svds(matrix.numpy(), k=1, solver="arpack", return_singular_vectors=False).item()


def propack(matrix: Tensor) -> float:
    """Lanczos bidiagonalization; a value without a bound."""
    return svds(matrix.numpy(), k=1, solver="propack", return_singular_vectors=False).item()


def svd_lowrank(matrix: Tensor) -> float:
    """Randomized subspace iteration with torch's defaults: six columns, two rounds."""
    return torch.svd_lowrank(matrix)[1].max().item()


def randomized(matrix: Tensor) -> float:
    """Randomized subspace iteration with scikit-learn's defaults."""
    return randomized_svd(matrix.numpy(), n_components=1, random_state=0)[1].max().item()


# Each takes a float32 copy of the stored values; making it is not timed.
PEERS: dict[str, Callable[[Tensor], float]] = {
    "matrix_norm": matrix_norm,
    "arpack": arpack,
    "propack": propack,
    "svd_lowrank": svd_lowrank,
    "randomized_svd": randomized,
}
