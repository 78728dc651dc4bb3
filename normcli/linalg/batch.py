"""The spectral norms of many matrices: small ones of one shape are computed together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from normcli.linalg.certificate import dense_stack
from normcli.linalg.matrix import wide
from normcli.linalg.norms import power_of_two
from normcli.linalg.spectral import check_request, spectral_norm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from normcli.records import SpectralNorm

_SMALL_SIDE = 64  # up to which a matrix costs Python more than LAPACK
_SMALL_ENTRIES = 1 << 14
_STACK_ENTRIES = 1 << 21  # of one stack: 16 MB in float64


def spectral_norms(
    matrices: Sequence[Tensor],
    *,
    rtol: float = 1e-6,
    certificate: str = "probabilistic",
    failure_probability: float = 1e-10,
    seed: int = 0,
) -> list[SpectralNorm]:
    """`spectral_norm` of each matrix, in order.

    Small ones get the deterministic certificate, as they do alone; the last bits may differ from
    those alone, but do not depend on what else is in the stack.
    """
    check_request(rtol, certificate, failure_probability)
    found: dict[int, SpectralNorm] = {}
    if certificate != "none":
        for group in _groups(matrices):
            found.update(zip(group, _of_stack([matrices[k] for k in group]), strict=True))
    return [
        found.get(k)
        or spectral_norm(
            matrix,
            rtol=rtol,
            certificate=certificate,
            failure_probability=failure_probability,
            seed=seed,
        )
        for k, matrix in enumerate(matrices)
    ]


def _groups(matrices: Sequence[Tensor]) -> Iterator[list[int]]:
    """Places of small matrices that can be stacked, so many at a time as fit."""
    alike: dict[tuple[object, ...], list[int]] = {}
    for k, matrix in enumerate(matrices):
        if _is_small(matrix):
            alike.setdefault((*matrix.shape, matrix.is_complex(), matrix.device), []).append(k)
    for places in alike.values():
        most = max(1, _STACK_ENTRIES // matrices[places[0]].numel())
        for first in range(0, len(places), most):
            yield places[first : first + most]


def _is_small(matrix: Tensor) -> bool:
    if matrix.ndim != 2 or not (matrix.is_floating_point() or matrix.is_complex()):
        return False
    return 1 < min(matrix.shape) <= _SMALL_SIDE and matrix.numel() <= _SMALL_ENTRIES


@torch.no_grad()
def _of_stack(matrices: Sequence[Tensor]) -> list[SpectralNorm]:
    """The norms of matrices of one shape; the special ones among them by themselves."""
    stack = torch.stack([wide(matrix.detach()) for matrix in matrices])
    real = torch.view_as_real(stack) if stack.is_complex() else stack
    largest = real.abs().flatten(1).amax(1).tolist()
    ordinary = [k for k, top in enumerate(largest) if 0 < top < math.inf]
    scales = [power_of_two(largest[k]) for k in ordinary]
    chosen = stack if len(ordinary) == len(matrices) else stack[ordinary]
    factors = torch.tensor(scales, dtype=torch.float64).to(chosen.device)
    scaled = chosen * factors[:, :1, None] * factors[:, 1:, None] if ordinary else chosen
    found = dict(zip(ordinary, dense_stack(scaled, scales), strict=True)) if ordinary else {}
    return [found[k] if k in found else spectral_norm(matrix) for k, matrix in enumerate(matrices)]
