"""Which axis of a weight holds the rows of its matrix, where the file does not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from normcli.records import Axis, Weight


def row_axis(weight: Weight, axis: Axis | str) -> tuple[Axis, list[str]]:
    """(the axis asked for, notes); 0 without one or where the weight has no such axis."""
    if isinstance(axis, str) or axis is None:
        return 0, []
    if 0 <= axis < max(1, len(weight.shape)):
        return axis, []
    return 0, [f"axis {axis} was asked for, but the weight has {len(weight.shape)} axes"]
