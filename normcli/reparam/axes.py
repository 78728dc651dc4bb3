"""Which row axes the shapes of a state allow; the rest of the question is settled by value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.records import other_axes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normcli.records import Axis, Shape, TensorRef


def spectral_axes(weight: Shape, u: Shape, v: Shape | None) -> tuple[Axis, ...]:
    """Axes d with shape[d] = len(u) and numel/shape[d] = len(v); several in a square weight."""
    if len(u) != 1 or (v is not None and len(v) != 1):
        return ()
    return tuple(
        axis
        for axis, size in enumerate(weight)
        if size == u[0] and (v is None or v[0] == other_axes(weight, axis))
    )


def weight_norm_axes(v: Shape, g: Shape) -> tuple[Axis, ...]:
    """Row axes that weight norm can have been given, by the shape of g; empty if g is no such g.

    g is 1 everywhere but at the axis. One number (0-d, or (1,) as old files hold it) is the norm
    of the whole tensor, `dim=None`. Where v has size 1 at several axes they all mean the same but
    for rounding; axis 0 and the last one, for which torch has a kernel of its own, come first.
    """
    if g == () or (g == (1,) and len(v) != 1):
        return (None,)
    if len(g) != len(v):
        return ()
    broad = [axis for axis, size in enumerate(g) if size != 1]
    if len(broad) > 1 or any(g[axis] != v[axis] for axis in broad):
        return ()
    if broad:
        return (broad[0],)
    ones = [axis for axis, size in enumerate(v) if size == 1]
    return tuple(sorted(ones, key=lambda axis: (axis != 0, -axis)))


def spectral_problem(parts: Mapping[str, TensorRef], weight: Shape) -> str:
    """The sentence for u and v that fit no axis of the weight; empty where they fit one."""
    u, v = parts["u"], parts.get("v")
    if spectral_axes(weight, u.shape, None if v is None else v.shape):
        return ""
    original = parts["original"]
    if len(u.shape) != 1 or u.shape[0] not in weight:
        return (
            f"'{u.key}' has shape {u.shape}, expected one axis of '{original.key}' {weight}, "
            f"usually ({weight[0] if weight else 1},)"
        )
    wanted = other_axes(weight, weight.index(u.shape[0]))
    return (
        f"'{v.key if v else ''}' has shape {v.shape if v else ()}, expected ({wanted},) to match "
        f"'{u.key}' {u.shape} and '{original.key}' {weight}"
    )
