"""Which columns fit a terminal, how wide each is, and how the numbers in it line up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normcli.render.columns import Column

GAP = 2  # blanks between columns
MARGIN = 1  # blanks left and right of a table
_ESSENTIAL = 5  # columns up to this rank stay on 80 columns
_NAME = 28  # a name is not shortened below this while a column beyond that rank can go
_SHORT = 16  # nor below this while any column can go
_NARROWEST = 8  # and never below this
_APART = ("e", "…", "...", "±", "+-")  # in what has no point that could stand below another


@dataclass(frozen=True, slots=True)
class Laid:
    """A column on the terminal.

    Attributes:
        column: Which one.
        heading: As this stream can hold it.
        cells: One a row, numbers padded so that their points stand in a line.
        width: In terminal cells.
    """

    column: Column
    heading: str
    cells: tuple[str, ...]
    width: int


def cells_of(text: str) -> int:
    """Terminal cells of a text: two for a wide letter, none for a combining mark."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def lay(column: Column, heading: str, texts: Sequence[str]) -> Laid:
    """A column as wide as its widest cell."""
    cells = tuple(_aligned(texts) if column.numeric else texts)
    width = max([cells_of(heading), *map(cells_of, cells)])
    return Laid(column, heading, cells, width)


def fit(columns: Sequence[Laid], width: int, *, droppable: bool) -> list[Laid]:
    """The columns that fit, the name's narrowed to what the others leave.

    Args:
        columns: In order; the name may be among them.
        width: Of the terminal.
        droppable: Whether the least important ones may go.
    """
    kept = [each for each in columns if not (droppable and _empty(each))]
    while droppable:
        last = max(kept, key=lambda each: each.column.rank)
        least = _NAME if last.column.rank > _ESSENTIAL else _SHORT
        if last.column.rank == 0 or _needed(kept, least) <= width:
            break
        kept.remove(last)
    room = width - _needed(kept, 0)
    return [_narrowed(each, room) if _is_name(each) else each for each in kept]


def _aligned(texts: Sequence[str]) -> list[str]:
    """Numbers with blanks behind so that their points stand in a line; `1e-07` as it is."""
    tails = [_tail(text) for text in texts]
    widest = max(tails, default=0)
    return [
        text + " " * (widest - tail) if _pointed(text) else text
        for text, tail in zip(texts, tails, strict=True)
    ]


def _pointed(text: str) -> bool:
    """Whether it is one number that a point could stand in; `-0.3…0.4` is two."""
    return text[-1:].isdigit() and not any(mark in text for mark in _APART)


def _tail(text: str) -> int:
    return len(text) - text.index(".") if _pointed(text) and "." in text else 0


def _is_name(each: Laid) -> bool:
    return each.column.name == "name"


def _empty(each: Laid) -> bool:
    return not _is_name(each) and not any(each.cells)


def _needed(columns: Sequence[Laid], least: int) -> int:
    """Terminal cells of some columns when the name is cut to `least`."""
    widths = [min(each.width, least) if _is_name(each) else each.width for each in columns]
    return sum(widths) + GAP * (len(columns) - 1) + 2 * MARGIN


def _narrowed(each: Laid, room: int) -> Laid:
    width = min(each.width, max(room, _NARROWEST))
    return Laid(each.column, each.heading, each.cells, width)
