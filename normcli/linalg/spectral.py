"""The door to the spectral norm: which matrix is taken, and by which route."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from normcli.errors import UsageError, closest
from normcli.linalg.certificate import dense
from normcli.records import CERTIFICATES

if TYPE_CHECKING:
    from torch import Tensor

    from normcli.records import SpectralNorm


def spectral_norm(
    matrix: Tensor,
    *,
    rtol: float = 1e-6,
    certificate: str = "probabilistic",
    failure_probability: float = 1e-10,
    seed: int = 0,
) -> SpectralNorm:
    """σ₁ = ‖W‖₂, the largest singular value, with a bracket that is known to hold it."""
    check_request(rtol, certificate, failure_probability)
    del seed  # the dense certificate does not depend on chance
    if matrix.ndim != 2 or not (matrix.is_floating_point() or matrix.is_complex()):
        found = f"{matrix.ndim} axes and dtype {str(matrix.dtype).removeprefix('torch.')}"
        raise UsageError(f"the matrix has {found}, expected 2 axes of a floating or complex dtype")
    with torch.no_grad():
        return dense(matrix.detach())


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
