"""The table on a terminal: as many columns as fit, numbers whole, names shortened in the middle."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from normcli.render import numbers
from normcli.render.escape import shortened
from normcli.render.footer import Remark, closing, footer, heading, remarks
from normcli.render.ink import console_for, inked, say
from normcli.render.layout import GAP, MARGIN, Laid, cells_of, fit, lay

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from normcli.render.columns import Row, Tone
    from normcli.render.document import Document, Sheet
    from normcli.render.page import Page

_REMARKS = 10  # sentences below a table
_STYLES: dict[Tone, str] = {"": "", "warn": "yellow", "bad": "bold red"}
_CALM = {
    "shape": "dim", "dtype": "dim", "state": "cyan", "state_layout": "dim", "before": "dim",
    "after": "cyan",
}  # fmt: skip
_LONGEST = 120  # letters of a name in a sentence; a name may be a megabyte


def write_table(document: Document, page: Page) -> None:
    """A table a checkpoint, each below its heading and above its counts."""
    text = StringIO()
    console = console_for(text, page)
    for number, sheet in enumerate(document.sheets):
        if number:
            console.print()
        _draw(console, document, sheet, page)
    end = closing(document)
    if end:
        say(console, page, ("dim", end))
    page.write(text.getvalue())


def lines(columns: Sequence[Laid], rows: Sequence[Row], page: Page) -> Iterator[str]:
    """The headings, a rule, and a line a row, in columns that were laid out for these rows."""
    width = sum(each.width for each in columns) + GAP * (len(columns) - 1)
    yield _line(columns, [(each.heading, "bold") for each in columns], page)
    yield " " * MARGIN + inked(page.spelled("─") * width, "dim", page)
    for index, row in enumerate(rows):
        yield _line(columns, [(each.cells[index], _style(each, row)) for each in columns], page)


def narrowed(text: str, width: int, page: Page) -> str:
    """A text cut in its middle to so many terminal cells."""
    limit, short = width, text
    while cells_of(short) > width and limit > 0:
        short = shortened(text, limit, page.spelled("…"))
        limit -= 1
    return short


def _draw(console: Console, document: Document, sheet: Sheet, page: Page) -> None:
    path, rest = heading(sheet)
    say(console, page, ("bold", path), ("dim", f"  {rest}"))
    columns = fit(_laid(document, sheet, page), page.width, droppable=not document.chosen)
    if sheet.rows:
        console.print()
        for line in lines(columns, sheet.rows, page):
            console.file.write(f"{line}\n")  # as wide as it is; print would take 10 times longer
    console.print()
    said = any(each.column.name == "problems" for each in columns)
    _remarks(console, page, remarks(sheet, problems=not said))
    for text in footer(document, sheet):
        say(console, page, ("dim", text))


def _laid(document: Document, sheet: Sheet, page: Page) -> list[Laid]:
    return [
        lay(
            column,
            page.spelled(column.heading),
            [page.spelled(column.cell(row)) for row in sheet.rows],
        )
        for column in document.reading()
    ]


def _line(columns: Sequence[Laid], cells: list[tuple[str, str]], page: Page) -> str:
    parts = []
    for each, (text, style) in zip(columns, cells, strict=True):
        short = narrowed(text, each.width, page)
        blanks = " " * (each.width - cells_of(short))
        ink = inked(short, style, page)
        parts.append(blanks + ink if each.column.numeric else ink + blanks)
    return (" " * MARGIN + (" " * GAP).join(parts)).rstrip()


def _style(each: Laid, row: Row) -> str:
    name, value = each.column.name, row.get(each.column.name)
    if name in ("name", "problems"):
        return _STYLES[_worst(row)]
    tone = "" if value is None else each.column.tone(value)
    return _STYLES[tone] or _CALM.get(name, "")


def _worst(row: Row) -> Tone:
    """How much a weight should catch the eye."""
    if row.get("nan") or row.get("inf"):
        return "bad"
    return "warn" if row.get("problems") else ""


def _remarks(console: Console, page: Page, found: list[Remark]) -> None:
    for remark in found[:_REMARKS]:
        name = f"{shortened(remark.name, _LONGEST)}: " if remark.name else ""
        style = _STYLES[_worst(remark.row)] or "bold"
        say(console, page, (style, name), ("", shortened(remark.sentences, _LONGEST * 3)))
    more = len(found) - _REMARKS
    if more > 0:
        say(console, page, ("dim", f"… {numbers.count(more)} more (--format json shows all)"))
    if found:
        console.print()
