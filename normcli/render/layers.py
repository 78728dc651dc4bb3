"""What initialization did to the layer of a weight: columns for reading, and flat ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from normcli.render import numbers
from normcli.render.columns import Column, number, tally

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normcli.records import LayerInit, Spread
    from normcli.render.columns import Datum, Row, Tone

_FAR = 0.05  # a mean, or a deviation from 1, after which initialization has not done its work


def _range(name: str, heading: str, rank: int) -> Column:
    """A column of `-0.31…0.42`: the lowest and the highest of all units."""

    def tone(value: Datum) -> Tone:
        return "bad" if {"NaN", "inf", "-inf"} & {*str(value).split(numbers.TO)} else ""

    return Column(name, heading, str, tone, numeric=True, rank=rank)


def _near(name: str, heading: str, rank: int, target: int) -> Column:
    """A column of `1 ±2.4e-07`: how far the unit that is farthest from the target is from it."""

    def tone(value: Datum) -> Tone:
        far = float(value)
        return "" if far <= _FAR else "warn" if math.isfinite(far) else "bad"

    def show(value: Datum) -> str:
        return numbers.near(target, float(value))

    return Column(name, heading, show, tone, numeric=True, rank=rank)


READING = (
    tally("units", "units", 6),
    _range("mean_before", "mean before", 4),
    _range("std_before", "std before", 2),
    _near("mean_after", "mean after", 3, 0),
    _near("std_after", "std after", 1, 1),
)
FLAT = (
    tally("units", "units"),
    tally("count", "count"),
    *(
        number(f"{moment}_{when}_{end}", f"{end} {moment} {when}")
        for when in ("before", "after")
        for moment in ("mean", "std")
        for end in ("lowest", "highest")
    ),
)


def cells(layer: LayerInit) -> Row:
    """What both kinds of columns show of a layer."""
    spreads = {
        "mean_before": layer.before.mean,
        "std_before": layer.before.std,
        "mean_after": layer.after.mean,
        "std_after": layer.after.std,
    }
    return {
        "units": layer.units,
        "count": layer.count,
        "mean_before": _told(layer.before.mean),
        "std_before": _told(layer.before.std),
        "mean_after": _farthest(layer.after.mean, 0),
        "std_after": _farthest(layer.after.std, 1),
        **_ends(spreads),
    }


def _told(spread: Spread) -> str:
    return numbers.span(spread.lowest, spread.highest)


def _farthest(spread: Spread, target: int) -> float:
    """The largest distance from the target; NaN where there is one."""
    ends = (abs(spread.lowest - target), abs(spread.highest - target))
    return math.nan if any(map(math.isnan, ends)) else max(ends)


def _ends(spreads: Mapping[str, Spread]) -> Row:
    ends = ((f"{name}_lowest", each.lowest) for name, each in spreads.items())
    others = ((f"{name}_highest", each.highest) for name, each in spreads.items())
    return dict((*ends, *others))
