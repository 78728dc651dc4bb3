"""A row of blocks that shows how numbers fall: as few cells as a terminal has left."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """One block a value on a logarithmic scale of their magnitudes, lowest to highest.

    Zero is as low as the smallest other value; what is not finite is a blank. Of more values than
    `width` as many as fit, evenly apart, with the first and the last.
    """
    shown = [abs(values[index]) for index in _spread(len(values), width)]
    logs = [math.log(value) for value in shown if 0 < value < math.inf]
    low, high = min(logs, default=0.0), max(logs, default=0.0)
    return "".join(_block(value, low, high) for value in shown)


def _spread(count: int, width: int) -> Sequence[int]:
    if count <= width:
        return range(count)
    return [round(cell * (count - 1) / max(1, width - 1)) for cell in range(width)]


def _block(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return " "
    if value == 0 or high == low:
        return BLOCKS[0]
    return BLOCKS[round((math.log(value) - low) / (high - low) * (len(BLOCKS) - 1))]
