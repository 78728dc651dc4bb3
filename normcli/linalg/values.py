"""What single entries tell: whether all are one value, and which do not fit a dtype."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from normcli.linalg.matrix import wide

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Beyond:
    """Finite entries that a dtype would make infinite, or cut to its largest number.

    Attributes:
        count: How many.
        largest: Max |w| of all finite entries; 0 where there is none.
        first: Position of the first one in the order in which they were given; None for none.
    """

    count: int
    largest: float
    first: int | None


def is_constant(pieces: Iterable[Tensor]) -> bool:
    """Whether all entries are one finite value; looks no further than the first other one.

    Args:
        pieces: Gives each entry once, in 1-D tensors; none of them is kept.
    """
    first = None
    for piece in pieces:
        if not piece.numel():
            continue
        entries = wide(piece)
        first = entries[0].clone() if first is None else first
        if not bool((entries == first).all()):
            return False
    return first is not None and bool(first.isfinite())


def beyond(pieces: Iterable[Tensor], dtype: torch.dtype) -> Beyond:
    """The finite entries that do not fit a floating dtype: |w| ≥ its largest number + ½ ulp.

    Args:
        pieces: Gives each entry once, in 1-D tensors; of complex ones both parts are looked at.
        dtype: Floating.
    """
    limit = _overflow(dtype)
    count, largest, first, start = 0, 0.0, None, 0
    for piece in pieces:
        entries = torch.view_as_real(piece).abs().amax(-1) if piece.is_complex() else piece
        sizes = wide(entries).abs()
        sizes = torch.where(sizes.isfinite(), sizes, 0)
        if sizes.numel():
            largest = max(largest, float(sizes.max()))
        if largest >= limit:
            found = (sizes >= limit).nonzero()
            if first is None and found.numel():
                first = start + int(found[0])
            count += found.numel()
        start += piece.numel()
    return Beyond(count, largest, first)


def _overflow(dtype: torch.dtype) -> float:
    """The smallest magnitude that does not round to a number of the dtype."""
    info = torch.finfo(dtype)
    ulp = info.eps * 2.0 ** math.floor(math.log2(info.max))
    return float(info.max) + ulp / 2
