"""The keys of a norm in a state dict, from the weight that it is put on: what `walk` reads back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.records import ITEMSIZE, NormState, TensorRef, other_axes
from normcli.reparam.layout import LAYOUTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normcli.records import Axis, Shape, Weight

# What torch writes today, and what is written here.
TARGETS = ("legacy", "parametrized")

_PARAMETRIZED = {
    "spectral": {"original": "original", "u": "{index}._u", "v": "{index}._v"},
    "weight": {"g": "original0", "v": "original1"},
}


def spelled(
    weight: Weight, family: str, layout: str, axis: Axis, *, old_parts: bool = False
) -> NormState:
    """The state that a norm of that family on a weight is stored as.

    Args:
        weight: Its section, key, shape and dtype count.
        family: `spectral` or `weight`.
        layout: One of `TARGETS`.
        axis: Row axis; None is one norm over the whole tensor, for weight norm.
        old_parts: Whether the parts have the shapes and dtypes that those of `weight`, a state of
            the same family, have (a g of shape (1,), u in another dtype).
    """
    shapes = _shapes(weight.shape, family, axis)
    parts = {}
    for role, key in part_keys(weight.key, family, layout).items():
        shape, dtype = shapes[role], weight.dtype
        if old_parts and isinstance(weight, NormState) and role in weight.parts:
            shape, dtype = weight.parts[role].shape, weight.parts[role].dtype
        parts[role] = line(weight.section, key, shape, dtype)
    return _state(weight, family, layout, parts, (axis,))


def stacked(state: NormState, axis: int) -> NormState:
    """A parametrized state with one more spectral norm on top.

    Args:
        state: Parametrized; a stack or one norm.
        axis: Row axis of the new norm.
    """
    norms = state.stack or (state,)
    # With weight norm below, its own index is 0; u and v of the new norm follow the last index.
    keys = part_keys(state.key, "spectral", "parametrized", index=len(norms))
    shapes = _shapes(state.shape, "spectral", axis)
    added = {
        role: line(state.section, keys[role], shapes[role], state.dtype) for role in ("u", "v")
    }
    original = norms[0].parts["original" if norms[0].family == "spectral" else "v"]
    top = _state(state, "spectral", "parametrized", {"original": original, **added}, (axis,))
    below = {part.key: part for norm in norms for part in norm.parts.values()}
    whole = {**below, **{part.key: part for part in added.values()}}
    return NormState(
        section=top.section,
        key=top.key,
        family="spectral",
        layout="parametrized",
        parts=whole,
        axes=top.axes,
        shape=top.shape,
        dtype=top.dtype,
        stack=(*norms, top),
    )


def part_keys(key: str, family: str, layout: str, *, index: int = 0) -> dict[str, str]:
    """Role → state-dict key of each part of the norm on the weight `key`."""
    if layout == "parametrized":
        module, _, name = key.rpartition(".")
        stem = ".".join(filter(None, (module, "parametrizations", name)))
        leaves = _PARAMETRIZED[family]
        return {role: f"{stem}.{leaf.format(index=index)}" for role, leaf in leaves.items()}
    row = next(row for row in LAYOUTS if (row.name, row.family) == (layout, family))
    return {role: key + suffix for role, suffix in row.suffixes.items()}


def line(section: str, key: str, shape: Shape, dtype: str) -> TensorRef:
    """A header line; its bytes follow from shape and dtype."""
    nbytes = ITEMSIZE[dtype]
    for size in shape:
        nbytes *= size
    return TensorRef(section, key, shape, dtype, nbytes)


def _shapes(weight: Shape, family: str, axis: Axis) -> dict[str, Shape]:
    if family == "spectral":
        rows = axis or 0
        return {"original": weight, "u": (weight[rows],), "v": (other_axes(weight, rows),)}
    g = tuple(size if d == axis else 1 for d, size in enumerate(weight))
    return {"g": () if axis is None else g, "v": weight}


def _state(
    weight: Weight,
    family: str,
    layout: str,
    parts: Mapping[str, TensorRef],
    axes: tuple[Axis, ...],
) -> NormState:
    return NormState(
        section=weight.section,
        key=weight.key,
        family=family,
        layout=layout,
        parts=parts,
        axes=axes,
        shape=weight.shape,
        dtype=weight.dtype,
    )
