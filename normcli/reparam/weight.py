"""Weight norm: W = g·v/‖v‖ (Salimans & Kingma, arXiv:1602.07868, equation 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from normcli.linalg import arithmetic_dtype

if TYPE_CHECKING:
    from torch import Tensor

    from normcli.records import Axis

_NATIVE = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def weight_normed(v: Tensor, g: Tensor, dim: Axis) -> Tensor:
    """g·v/‖v‖ with the norm over all axes but `dim`, bit-equal to torch's weight norm.

    `torch._weight_norm` does not look at the shape of g and writes outside of its memory when it
    does not fit: it is called only with a g of the right shape. What it has no kernel for (complex,
    scalars) goes through `vector_norm`, float8 through float32.

    Args:
        v: Shape of the weight.
        g: 1 at every axis but `dim`; one number for dim None.
        dim: Row axis; None is one norm over the whole tensor.
    """
    dtype = arithmetic_dtype(v, g)
    v, g = v.contiguous().to(dtype), g.contiguous().to(dtype)
    if v.numel() == 0:
        return v.clone()
    g = g.reshape(_g_shape(v, dim))
    if v.dtype in _NATIVE and v.ndim:
        return torch._weight_norm(v, g, -1 if dim is None else dim)  # noqa: SLF001  bit-equal to it
    axes = [axis for axis in range(v.ndim) if axis != dim]
    length = torch.linalg.vector_norm(v, dim=axes, keepdim=True) if axes else v.abs()
    return v * (g / length)


def troubles(v: Tensor, g: Tensor, dim: Axis) -> tuple[str, ...]:
    """What makes the effective weight NaN though g and v are finite: slices of v that are zero."""
    if v.numel() == 0 or not (bool(g.isfinite().all()) if g.dtype in _NATIVE else True):
        return ()
    rows = v.reshape(1, -1) if dim is None else v.movedim(dim, 0).reshape(v.shape[dim], -1)
    zero = int((~(rows.to(torch.float32) if not v.is_complex() else rows).bool().any(dim=1)).sum())
    if not zero:
        return ()
    return (f"v is zero in {zero} of {len(rows)} rows: weight norm divides by their norm, NaN",)


def _g_shape(v: Tensor, dim: Axis) -> tuple[int, ...]:
    if dim is None:
        return ()
    return tuple(size if axis == dim else 1 for axis, size in enumerate(v.shape))
