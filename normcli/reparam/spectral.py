"""Spectral norm: W = W₀/σ, σ = uᵀW₀v (Miyato et al., arXiv:1802.05957, Algorithm 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from normcli.linalg import (
    arithmetic_dtype,
    as_hooked,
    as_matrix,
    normalize,
    power_step,
    sigma,
    spectral_norm,
    vector_norm,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from normcli.records import Axis, NormState

# A row axis is taken from the values only where u and v reach most of σ₁ on it and clearly less on
# every other: after one training step or more the true axis has 0.715 to 1.000, a wrong one at
# most 0.535 (six kinds of layers, both layouts); a fresh hook has at most 0.25 on all.
_REACH = 0.7
_LEAD = 0.15

_ONE_STEP = ("weight-bar", "biggan", "mimicry")  # these take a power step in eval mode as well


@dataclass(frozen=True, slots=True)
class Settled:
    """A spectral-norm state with its row axis settled.

    Attributes:
        weight: W₀/σ in the dtype that torch computes in.
        axis: Row axis.
        sigma: What the layer divides by.
        u_norm: ‖u‖₂ as stored.
        v_norm: ‖v‖₂ as stored; None where no v is stored.
        original: W₀.
        vectors: u and v, shapes (m,) and (n,).
        notes: Sentences, worst first.
        certain: Whether the row axis is known.
    """

    weight: Tensor
    axis: Axis
    sigma: float
    u_norm: float
    v_norm: float | None
    original: Tensor
    vectors: tuple[Tensor, Tensor]
    notes: tuple[str, ...]
    certain: bool = True


def settle(state: NormState, tensors: Mapping[str, Tensor], axis: Axis | str) -> Settled:
    """The effective weight W₀/σ with σ = uᵀW₀v from the stored u and v.

    In the stored dtype without any upcast, as `remove_spectral_norm` and `remove_parametrizations`
    do in eval mode; float8 in float32, mixed dtypes in the widest (torch raises there). Version 0
    stored the quotient itself. BigGAN, mimicry and `weight_bar` modules take one power step even
    in eval mode, so their σ is the one after it.
    """
    notes: list[str] = []
    prepared = _prepared(tensors, notes)
    original, u, v = prepared.original, prepared.u, prepared.v
    chosen, certain = _row_axis(state, prepared, axis, notes)
    if v is None:
        v = normalize(torch.mv(_matrix(state.layout, original, chosen).mH, u))
    divisor = stored_sigma(state.layout, original, chosen, u, v)
    baked = tensors.get("baked")
    weight = original / divisor if baked is None else baked
    if baked is not None:
        divisor = _quotient(original, baked)
    notes += _troubles(float(divisor.real), tensors)
    return Settled(
        weight=weight,
        axis=chosen,
        sigma=float(divisor.real),
        u_norm=vector_norm(tensors["u"]),
        v_norm=vector_norm(tensors["v"]) if "v" in tensors else None,
        original=original,
        vectors=(u, v),
        notes=tuple(notes),
        certain=certain,
    )


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Original, u and v in one dtype and in memory of their own, vectors flat."""

    original: Tensor
    u: Tensor
    v: Tensor | None


def _prepared(tensors: Mapping[str, Tensor], notes: list[str]) -> _Prepared:
    used = [tensors[role] for role in ("original", "u", "v") if role in tensors]
    if len({tensor.dtype for tensor in used}) > 1:
        names = ", ".join(dict.fromkeys(str(t.dtype).removeprefix("torch.") for t in used))
        notes.append(f"parts of different dtypes ({names}): torch refuses them, the widest is used")
    dtype = arithmetic_dtype(*used)
    original, u, *rest = (tensor.to(dtype).contiguous() for tensor in used)
    return _Prepared(original, u.reshape(-1), rest[0].reshape(-1) if rest else None)


def stored_sigma(layout: str, original: Tensor, axis: int, u: Tensor, v: Tensor) -> Tensor:
    """σ = uᵀW₀v as a layer of that layout computes it in eval mode, 0-d, all in one dtype."""
    matrix = _matrix(layout, original, axis)
    if layout in _ONE_STEP:
        u, v = power_step(matrix, u, v, legacy=True)
    return sigma(matrix, u, v, legacy=layout != "parametrized")


def _matrix(layout: str, original: Tensor, axis: int) -> Tensor:
    matrix = as_matrix(original, axis)
    return matrix if layout == "parametrized" else as_hooked(matrix)


def _quotient(original: Tensor, baked: Tensor) -> Tensor:
    """σ with original = σ·baked in the least-squares sense: no 0/0 where a weight is zero."""
    either = original.is_complex() or baked.is_complex()
    dtype = torch.complex128 if either else torch.float64
    wide, quotient = original.flatten().to(dtype), baked.flatten().to(dtype)
    return torch.vdot(quotient, wide) / torch.vdot(quotient, quotient)


def _row_axis(
    state: NormState, tensors: _Prepared, axis: Axis | str, notes: list[str]
) -> tuple[int, bool]:
    """(axis, whether it is certain): the one asked for, of the shapes, or that the values show."""
    axes = [candidate for candidate in state.axes if candidate is not None]
    if isinstance(axis, int) and axis in axes:
        return axis, True
    if axis != "auto":
        notes.append(f"axis {axis} was asked for, but u and v fit axis {_listed(axes)} only")
    if len(axes) == 1:
        return axes[0], True
    reach = sorted(((_reach(tensors, d), d) for d in axes), reverse=True)
    (best, chosen), (second, _) = reach[0], reach[1]
    asked = f"row axis {_listed(axes)} fit by shape"
    shown = ", ".join(f"{share:.3f} of σ₁ on axis {d}" for share, d in reach)
    if best >= _REACH and best - second >= _LEAD:
        notes.append(f"{asked}; axis {chosen} by value: u and v reach {shown}")
        return chosen, True
    notes.append(
        f"{asked} and the values do not tell ({shown}): axis {axes[0]} assumed, --dim settles it"
    )
    return axes[0], False


def _listed(axes: Sequence[int]) -> str:
    return " and ".join(str(axis) for axis in axes)


def _reach(tensors: _Prepared, axis: int) -> float:
    """|uᵀWv|/σ₁ on that axis; ‖Wᵀu‖/σ₁ where no v is stored."""
    matrix = as_matrix(tensors.original, axis)
    exact = spectral_norm(matrix).value
    image = torch.mv(matrix.mH, tensors.u)
    v = tensors.v
    reached = float(image.norm()) if v is None else abs(float(torch.vdot(v, image).real))
    share = reached / exact if exact else 0.0
    return 0.0 if math.isnan(share) else share


def _troubles(divisor: float, tensors: Mapping[str, Tensor]) -> list[str]:
    """What is wrong with σ and with the stored vectors."""
    original = tensors["original"]
    if not original.numel():
        return []
    notes = []
    if not divisor > 0:
        notes.append(f"stored σ is {divisor:.4g}, expected a positive number")
    tolerance = 2e-2 if original.element_size() < 4 else 1e-3
    lengths = {role: vector_norm(tensors[role]) for role in ("u", "v") if role in tensors}
    wrong = [f"‖{r}‖ is {x:.4g}" for r, x in lengths.items() if not abs(x - 1) <= tolerance]
    if wrong:
        notes.append(f"{' and '.join(wrong)}, expected 1: averaged by an EMA or a merge?")
    return notes
