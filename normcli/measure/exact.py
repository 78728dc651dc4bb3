"""The exact spectral norm as it was asked for: how sure, how narrow, and on which device."""

from __future__ import annotations

from contextlib import nullcontext
from threading import Lock
from typing import TYPE_CHECKING

import torch

from normcli import linalg
from normcli.errors import UsageError, closest
from normcli.records import DEVICES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor

    from normcli.measure.subject import Options
    from normcli.records import SpectralNorm

_ON_MPS = frozenset({torch.float32, torch.float16, torch.bfloat16})

# One matrix at a time on an accelerator: its memory is counted by nobody here.
_ALONE = Lock()


def exact(matrix: Tensor, options: Options) -> SpectralNorm:
    """σ₁ of a matrix that lies on the CPU, computed on the device that was asked for."""
    with _turn(options.device):
        return linalg.spectral_norm(
            placed(matrix, options.device),
            rtol=options.rtol,
            certificate=options.certificate,
            failure_probability=options.failure_probability,
            seed=options.seed,
        )


def exact_of_all(matrices: Sequence[Tensor], options: Options) -> list[SpectralNorm]:
    """σ₁ of each of several short matrices; those of one shape are computed together."""
    with _turn(options.device):
        return linalg.spectral_norms(
            [placed(matrix, options.device) for matrix in matrices],
            rtol=options.rtol,
            certificate=options.certificate,
            failure_probability=options.failure_probability,
            seed=options.seed,
        )


def placed(matrix: Tensor, device: str) -> Tensor:
    """The matrix on the device; it stays on the CPU where the device has no such dtype."""
    if device == "mps" and matrix.dtype not in _ON_MPS:
        return matrix
    return matrix.to(device)


def check_exact(options: Options) -> None:
    """Raise a `UsageError` where no spectral norm could be computed as it was asked for."""
    linalg.check_request(options.rtol, options.certificate, options.failure_probability)
    name = options.device
    if name not in DEVICES:
        hint = closest(name, DEVICES)
        raise UsageError(f"no device is called {name!r}", where="--device", hint=hint)
    if not _is_here(name):
        here = " or ".join(each for each in DEVICES if _is_here(each))
        raise UsageError(f"no {name} device here, expected {here}", where="--device")


def _is_here(device: str) -> bool:
    if device == "cuda":
        return torch.cuda.is_available()
    return device == "cpu" or torch.backends.mps.is_available()


def _turn(device: str) -> AbstractContextManager[object]:
    return nullcontext() if device == "cpu" else _ALONE
