"""Which axis of a weight holds the rows of its matrix, where the file does not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.selection import matcher

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from normcli.records import Axis, Weight


def axis_choice(dims: Mapping[str, Axis]) -> Callable[[Weight], Axis | str]:
    """The row axis of the first glob that means a weight; `auto` without one."""
    rows = [(matcher([glob]), axis) for glob, axis in dims.items()]
    return lambda weight: next((axis for matches, axis in rows if matches(weight)), "auto")


def row_axis(weight: Weight, axis: Axis | str) -> tuple[Axis, list[str]]:
    """(the axis asked for, notes); 0 without one or where the weight has no such axis."""
    if isinstance(axis, str) or axis is None:
        return 0, []
    if 0 <= axis < max(1, len(weight.shape)):
        return axis, []
    return 0, [f"axis {axis} was asked for, but the weight has {len(weight.shape)} axes"]
