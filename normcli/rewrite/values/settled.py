"""A step once its values are known: what it makes, what it changed, or why it is not done."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import torch

from normcli import linalg

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from normcli.records import Change, SpectralNorm
    from normcli.rewrite.options import Options

    Read: TypeAlias = Callable[[str], Tensor]

_CHUNK = 1 << 15  # entries compared at a time: in float64 they stay in a core's cache


@dataclass(frozen=True, slots=True)
class Settled:
    """A step that is done.

    Attributes:
        change: What becomes of the numbers.
        made: Output name → tensor, for what is small: vectors, g.
        later: Output name → how it is computed when it is written, for what is as large as the
            weight: no checkpoint is held in memory.
    """

    change: Change
    made: Mapping[str, Tensor] = field(default_factory=lambda: MappingProxyType({}))
    later: Mapping[str, Callable[[], Tensor]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Left:
    """A weight that is left as it is; only its values told.

    Attributes:
        reason: Why.
        wanted: Whether that is what was asked for: no error where the weight was named.
    """

    reason: str
    wanted: bool = False


@dataclass(frozen=True, slots=True)
class Open:
    """A spectral norm whose row axis neither shapes nor values settle: a writer does not guess."""


Outcome: TypeAlias = Settled | Left | Open


def largest_change(before: Tensor, after: Tensor) -> float:
    """Max |after − before| in float64; NaN where a NaN came or went, 0 for no entries.

    Entries that are NaN in both, or the same infinity, did not change.
    """
    largest = 0.0
    old, new = before.reshape(-1), after.reshape(-1)
    for first in range(0, old.numel(), _CHUNK):
        was, panel = _wide(old[first : first + _CHUNK]), _wide(new[first : first + _CHUNK])
        change = float((panel - was).abs().max())
        if math.isnan(change):
            same = (panel == was) | (panel.isnan() & was.isnan())
            change = float((panel - was).abs().masked_fill_(same, 0.0).max())
        if math.isnan(change):
            return change
        largest = max(largest, change)
    return largest


def is_finite(tensor: Tensor) -> bool:
    """Whether no entry is NaN or infinite: one pass, nothing copied."""
    if tensor.numel() == 0:
        return True
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return all(bool(end.isfinite()) for end in torch.aminmax(real))


def found(matrix: Tensor, options: Options) -> SpectralNorm:
    """σ₁ with its singular vectors, as the options ask for it."""
    return linalg.spectral_norm(matrix, rtol=options.rtol, seed=options.seed, vectors=True)


def without_vectors(norm: SpectralNorm) -> str:
    """Why a matrix has no top singular pair; empty where it has one."""
    reasons = {
        "zero": "all zero",
        "non-finite": "holds NaN or infinite entries",
        "empty": "has no entries",
    }
    return reasons.get(norm.method, "")


def _wide(panel: Tensor) -> Tensor:
    return panel.to(torch.complex128 if panel.is_complex() else torch.float64)
