"""Columns: the flat name that scripts use, the heading that people read, and how a cell reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from normcli.render import numbers
from normcli.render.escape import escaped

Datum: TypeAlias = str | int | float
Value: TypeAlias = Datum | None  # None: there is no such number
Row: TypeAlias = Mapping[str, Value]
Tone: TypeAlias = Literal["", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a document.

    Attributes:
        name: As in CSV, `--columns` and `--sort`.
        heading: As people read it.
        show: A value for reading, short; the full value is in CSV and JSON.
        tone: Whether a value should catch the eye.
        numeric: Whether its cells are numbers, aligned at the point.
        rank: What goes last when a terminal is narrow: 0 never goes.
    """

    name: str
    heading: str
    show: Callable[[Datum], str]
    tone: Callable[[Datum], Tone]
    numeric: bool = False
    rank: int = 9

    def cell(self, row: Row) -> str:
        """The cell for reading; empty where there is no value."""
        value = row.get(self.name)
        return "" if value is None else self.show(value)


def words(name: str, heading: str, rank: int = 9) -> Column:
    """A column of text."""
    return Column(name, heading, _words, _calm, rank=rank)


def shape(name: str, heading: str, rank: int = 9) -> Column:
    """A column of shapes, `64×32×3×3` for reading and `64x32x3x3` for scripts."""
    return Column(name, heading, lambda value: str(value).replace("x", "×"), _calm, rank=rank)


def number(name: str, heading: str, rank: int = 9, *, digits: int = 4) -> Column:
    """A column of real numbers; those that are not finite stand out."""

    def show(value: Datum) -> str:
        return numbers.brief(float(value), digits)

    return Column(name, heading, show, _finite, numeric=True, rank=rank)


def tally(name: str, heading: str, rank: int = 9, *, alarm: bool = False) -> Column:
    """A column of counts; with `alarm` anything but zero stands out."""
    tone: Callable[[Datum], Tone] = (lambda value: "bad" if value else "") if alarm else _calm
    return Column(name, heading, _count, tone, numeric=True, rank=rank)


def share(name: str, heading: str, rank: int = 9, *, limit: float) -> Column:
    """A column of fractions in percent; those beyond `limit` stand out."""

    def tone(value: Datum) -> Tone:
        beyond = isinstance(value, float) and not abs(value) <= limit
        return "warn" if beyond else ""

    return Column(name, heading, _percent, tone, numeric=True, rank=rank)


def deviation(name: str, heading: str, rank: int = 9) -> Column:
    """A column of fractions that become small, in percent with two significant digits."""
    return Column(name, heading, _deviation, _finite, numeric=True, rank=rank)


def amount(name: str, heading: str, rank: int = 9) -> Column:
    """A column of bytes with their units."""
    return Column(name, heading, _size, _calm, numeric=True, rank=rank)


def full(value: Value) -> str:
    """A value for scripts, nothing of it lost: `repr` of a float, `nan`, `inf`; empty for none."""
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(float(value))
    return escaped(str(value))


def _words(value: Datum) -> str:
    return escaped(str(value))


def _count(value: Datum) -> str:
    return numbers.count(int(value))


def _percent(value: Datum) -> str:
    return numbers.percent(float(value))


def _deviation(value: Datum) -> str:
    return numbers.deviation(float(value))


def _size(value: Datum) -> str:
    return numbers.size(int(value))


def _calm(_value: Datum) -> Tone:
    return ""


def _finite(value: Datum) -> Tone:
    return "bad" if isinstance(value, float) and not math.isfinite(value) else ""
