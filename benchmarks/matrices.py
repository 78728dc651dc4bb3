"""Matrices with chosen singular values: the spectra that spectral norms are timed on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Generator, Tensor

SPIKES = 16
CLUSTER = 50  # singular values within CLUSTER_WIDTH of σ₁
CLUSTER_WIDTH = 1e-4
BULK_EDGE = 0.8  # of σ₁, below the cluster
PANEL = 256  # rows that are drawn in float32 at a time


def gaussian(m: int, n: int, generator: Generator, dtype: torch.dtype = torch.float32) -> Tensor:
    """Independent normal entries, σ₁ ≈ 1: a weight as it is initialized."""
    return _bulk_and_spikes((m, n), 0, generator, dtype)


def spiked(m: int, n: int, generator: Generator, dtype: torch.dtype = torch.float32) -> Tensor:
    """A Gaussian bulk of edge 1 and 16 spikes of 4·0.8ⁱ: a weight as training leaves it."""
    return _bulk_and_spikes((m, n), SPIKES, generator, dtype)


def power_law(m: int, n: int, generator: Generator) -> Tensor:
    """σᵢ = i^(-1/4)."""
    return _turned(torch.arange(1, min(m, n) + 1) ** -0.25, m, n, generator)


def orthogonal(m: int, n: int, generator: Generator) -> Tensor:
    """Every singular value is 1."""
    return _turned(torch.ones(min(m, n)), m, n, generator)


def clustered(m: int, n: int, generator: Generator) -> Tensor:
    """50 singular values within 1e-4 of σ₁ = 1, and the others evenly between 0.8 and 0."""
    cluster = 1 - CLUSTER_WIDTH * torch.linspace(0, 1, CLUSTER)
    sigmas = torch.cat([cluster, torch.linspace(BULK_EDGE, 0, max(0, min(m, n) - CLUSTER))])
    return _turned(sigmas[: min(m, n)], m, n, generator)


SPECTRA: dict[str, Callable[[int, int, Generator], Tensor]] = {
    "gaussian": gaussian,
    "spiked": spiked,
    "power-law": power_law,
    "orthogonal": orthogonal,
    "clustered": clustered,
}


def _bulk_and_spikes(
    shape: tuple[int, int], spikes: int, generator: Generator, dtype: torch.dtype
) -> Tensor:
    """Panel by panel, so that no copy of the whole in float32 is made on the way."""
    m, n = shape
    left, right = (
        torch.linalg.qr(torch.randn(side, spikes, generator=generator)).Q for side in shape
    )
    left = left * 4 * 0.8 ** torch.arange(spikes)
    matrix = torch.empty(shape, dtype=dtype)
    for panel, rows in zip(matrix.split(PANEL), left.split(PANEL), strict=True):
        bulk = torch.randn(panel.shape, generator=generator) / (math.sqrt(m) + math.sqrt(n))
        panel.copy_(bulk.addmm_(rows, right.T))
    return matrix


def _turned(sigmas: Tensor, m: int, n: int, generator: Generator) -> Tensor:
    """U·diag(σ)·Vᵀ with dense U and V, in O(mn log mn).

    U and V are two rounds each of random signs, a cosine transform and a random permutation.
    """
    from scipy.fft import dct

    matrix = torch.zeros(m, n)
    matrix.diagonal().copy_(sigmas)
    for axis in (0, 1, 0, 1):
        side = matrix.shape[axis]
        signs = torch.randint(2, (side,), generator=generator) * 2.0 - 1
        matrix *= signs.unsqueeze(1 - axis)
        mixed = torch.from_numpy(dct(matrix.numpy(), axis=axis, norm="ortho", overwrite_x=True))
        matrix = mixed.index_select(axis, torch.randperm(side, generator=generator))
    return matrix
