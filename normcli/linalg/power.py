"""The power iteration for σ₁, step for step as torch does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from normcli.linalg.matrix import as_hooked

if TYPE_CHECKING:
    from torch import Tensor

_EPS = 1e-12  # torch's default in both spectral norms; it acts on zero vectors only
_NATIVE = {
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128
}  # fmt: skip


def arithmetic_dtype(*tensors: Tensor) -> torch.dtype:
    """The dtype that torch would compute in: the widest of all, float32 where there is no `mv`."""
    dtype = _native(tensors[0].dtype)
    for tensor in tensors[1:]:
        dtype = torch.promote_types(dtype, _native(tensor.dtype))
    return dtype


def _native(dtype: torch.dtype) -> torch.dtype:
    return dtype if dtype in _NATIVE else torch.float32


def power_step(matrix: Tensor, u: Tensor, v: Tensor, *, legacy: bool) -> tuple[Tensor, Tensor]:
    """One step in the update order of the layout.

    Legacy (`torch.nn.utils.spectral_norm`, state version 1): v ← Wᵀu/‖Wᵀu‖, then u ← Wv/‖Wv‖.
    Parametrized (`torch.nn.utils.parametrizations.spectral_norm`): u first, then v ← Wᴴu/‖Wᴴu‖.
    """
    if legacy:
        v = normalize(torch.mv(matrix.t(), u))
        return normalize(torch.mv(matrix, v)), v
    u = normalize(torch.mv(matrix, v))
    return u, normalize(torch.mv(matrix.mH, u))


def normalize(vector: Tensor) -> Tensor:
    """X / max(‖x‖, ε), bit for bit `torch.nn.functional.normalize`, at half its cost."""
    length: Tensor = torch.linalg.vector_norm(vector)
    return vector / length.clamp_min_(_EPS)


def sigma(matrix: Tensor, u: Tensor, v: Tensor, *, legacy: bool) -> Tensor:
    """σ = uᴴWv, 0-d, in the dtype of the matrix; the legacy hook forgets to conjugate u."""
    image = torch.mv(matrix, v)
    return torch.dot(u, image) if legacy else torch.vdot(u, image)


def power_iteration(
    matrix: Tensor,
    *,
    iterations: int,
    start: tuple[Tensor, Tensor] | None = None,
    legacy: bool = False,
    seed: int = 0,
) -> float:
    """σ̂ = uᴴWv after so many steps; never above ‖W‖₂ but for rounding.

    Args:
        matrix: Shape (m, n); arithmetic in its own dtype as torch does it, float8 in float32.
        iterations: Steps; 0 evaluates the start.
        start: u of shape (m,) and v of shape (n,); without it both are drawn as torch's
            parametrized spectral norm draws them after `torch.manual_seed(seed)`.
        legacy: Update order, see `power_step`.
        seed: Of the random start.
    """
    matrix, u, v = begun(matrix, start, legacy=legacy, seed=seed)
    for _ in range(iterations):
        u, v = power_step(matrix, u, v, legacy=legacy)
    return float(sigma(matrix, u, v, legacy=legacy).real)


def begun(
    matrix: Tensor, start: tuple[Tensor, Tensor] | None, *, legacy: bool, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(matrix, u, v) as torch computes with them, before the first step."""
    u, v = start if start is not None else random_start(matrix, seed)
    dtype = arithmetic_dtype(matrix, u, v)
    matrix, u, v = matrix.to(dtype), u.to(dtype), v.to(dtype)
    return (as_hooked(matrix) if legacy else matrix), u, v


def random_start(matrix: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """U and v as torch's parametrized spectral norm draws them after `torch.manual_seed(seed)`."""
    generator = torch.Generator().manual_seed(seed)
    dtype = arithmetic_dtype(matrix)
    u, v = (
        torch.empty(size, dtype=dtype).normal_(0, 1, generator=generator) for size in matrix.shape
    )
    return normalize(u), normalize(v)
