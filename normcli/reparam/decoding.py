"""The effective weight of a state from its parts, bit for bit as torch computes it in eval mode."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from normcli.linalg import arithmetic_dtype
from normcli.records import StateValues
from normcli.reparam import spectral, weight

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from normcli.records import Axis, NormState


@dataclass(frozen=True, slots=True)
class Decoded:
    """A state with its tensors read.

    Attributes:
        weight: The effective weight.
        axis: Row axis of its matrix.
        values: Numbers of the state that need no σ₁.
        original: What is stored under a spectral norm; None in other families.
        vectors: Its stored u and v, flat; None where there are none.
        notes: What was decided by value, and what is wrong, worst first.
        stack: The same for each norm of a stack.
        certain: Whether shapes, values or the axis from outside settle the row axis.
    """

    weight: Tensor
    axis: Axis
    values: StateValues
    original: Tensor | None = None
    vectors: tuple[Tensor, Tensor] | None = None
    notes: tuple[str, ...] = ()
    stack: tuple[Decoded, ...] = ()
    certain: bool = True


def decode(state: NormState, parts: Mapping[str, Tensor], axis: Axis | str = "auto") -> Decoded:
    """The effective weight of a state without a problem.

    Args:
        state: From `weights`; `problem` is empty.
        parts: Name of the tensor (`SECTION/KEY`) → tensor, for all parts of the state.
        axis: Row axis from outside, used where the shapes allow it; `auto` leaves it to them.
    """
    if state.stack:
        return _decode_stack(state, parts, axis)
    tensors = {role: parts[ref.name] for role, ref in state.parts.items()}
    return FAMILIES[state.family](state, tensors, axis)


def read_state(read: Callable[[str], Tensor], state: NormState, axis: Axis | str) -> Decoded:
    """The state decoded from all of its parts, and those of the norms below it.

    Args:
        read: Name of a tensor (`SECTION/KEY`) → tensor.
        state: As in `decode`.
        axis: As in `decode`.
    """
    names = {part.name for norm in (state, *state.stack) for part in norm.parts.values()}
    return decode(state, {name: read(name) for name in sorted(names)}, axis)


def effective_weight(
    state: NormState, parts: Mapping[str, Tensor], axis: Axis | str = "auto"
) -> Tensor:
    """What the layer computes with: bit-equal to torch's own removal in eval mode."""
    return decode(state, parts, axis).weight


def _decode_stack(state: NormState, parts: Mapping[str, Tensor], axis: Axis | str) -> Decoded:
    """Each norm acts on what the one before it gives (index order)."""
    done: list[Decoded] = []
    for norm in state.stack:
        tensors = {role: parts[ref.name] for role, ref in norm.parts.items()}
        if done:
            tensors["original"] = done[-1].weight
        done.append(FAMILIES[norm.family](norm, tensors, axis))
    last = done[-1]
    return replace(
        last,
        values=replace(last.values, stack=tuple(each.values for each in done)),
        notes=tuple(dict.fromkeys(note for each in done for note in each.notes)),
        stack=tuple(done),
        certain=all(each.certain for each in done),
    )


def _decode_spectral(state: NormState, tensors: Mapping[str, Tensor], axis: Axis | str) -> Decoded:
    settled = spectral.settle(state, tensors, axis)
    return Decoded(
        weight=settled.weight,
        axis=settled.axis,
        values=StateValues(
            family=state.family,
            layout=state.layout,
            dim=settled.axis,
            sigma_stored=settled.sigma,
            u_norm=settled.u_norm,
            v_norm=settled.v_norm,
        ),
        original=settled.original,
        vectors=settled.vectors,
        notes=settled.notes,
        certain=settled.certain,
    )


def _decode_weight_norm(
    state: NormState, tensors: Mapping[str, Tensor], axis: Axis | str
) -> Decoded:
    g, v = tensors["g"], tensors["v"]
    dim = state.axes[0] if state.axes else None
    if isinstance(axis, int) and axis in state.axes:
        dim = axis  # of several axes of size 1 the one that is said: torch rounds each differently
    wide_g = g.to(torch.float64) if not g.is_complex() else g.abs().to(torch.float64)
    numbers = wide_g.flatten()
    return Decoded(
        weight=weight.weight_normed(v, g, dim),
        axis=0,
        values=StateValues(
            family=state.family,
            layout=state.layout,
            dim=dim,
            g_min=float(numbers.min()) if numbers.numel() else None,
            g_max=float(numbers.max()) if numbers.numel() else None,
        ),
        notes=weight.troubles(v, g, dim),
    )


def _decode_pruning(state: NormState, tensors: Mapping[str, Tensor], _axis: Axis | str) -> Decoded:
    original, mask = tensors["original"], tensors["mask"]
    dtype = arithmetic_dtype(original, mask) if mask.is_complex() else arithmetic_dtype(original)
    return Decoded(
        weight=mask.to(dtype) * original.to(dtype),
        axis=0,
        values=StateValues(family=state.family, layout=state.layout),
        notes=("pruned: the effective weight is original × mask",),
    )


FAMILIES: Mapping[str, Callable[[NormState, Mapping[str, Tensor], Axis | str], Decoded]] = {
    "spectral": _decode_spectral,
    "weight": _decode_weight_norm,
    "pruning": _decode_pruning,
}
