"""The table on a terminal: as many columns as fit, numbers whole, names shortened in the middle."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from normcli.render import numbers
from normcli.render.escape import shortened
from normcli.render.footer import Remark, closing, footer, heading, remarks
from normcli.render.layout import GAP, MARGIN, Laid, cells_of, fit, lay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from normcli.render.columns import Row, Tone
    from normcli.render.document import Document, Sheet
    from normcli.render.page import Page

_REMARKS = 10  # sentences below a table
_STYLES: dict[Tone, str] = {"": "", "warn": "yellow", "bad": "bold red"}
_CALM = {"shape": "dim", "dtype": "dim", "state": "cyan", "state_layout": "dim"}
_LONGEST = 120  # letters of a name in a sentence; a name may be a megabyte
_HANG = 2  # blanks before the second line of a sentence


def write_table(document: Document, page: Page) -> None:
    """A table a checkpoint, each below its heading and above its counts."""
    text = StringIO()
    console = _console(text, page)
    for number, sheet in enumerate(document.sheets):
        if number:
            console.print()
        _draw(console, document, sheet, page)
    end = closing(document)
    if end:
        _say(console, page, ("dim", end))
    page.write(text.getvalue())


def _console(text: StringIO, page: Page) -> Console:
    """A console that writes into a string: rich's own answer to a broken pipe is to exit with 1."""
    from rich.console import Console

    return Console(
        file=text,
        width=page.width,
        color_system="standard" if page.color else None,
        force_terminal=page.color,
        markup=False,
        highlight=False,
        emoji=False,
    )


def _draw(console: Console, document: Document, sheet: Sheet, page: Page) -> None:
    path, rest = heading(sheet)
    _say(console, page, ("bold", path), ("dim", f"  {rest}"))
    columns = fit(_laid(document, sheet, page), page.width, droppable=not document.chosen)
    if sheet.rows:
        console.print()
        for line in _lines(columns, sheet.rows, page):
            console.file.write(f"{line}\n")  # as wide as it is; print would take 10 times longer
    console.print()
    said = any(each.column.name == "problems" for each in columns)
    _remarks(console, page, remarks(sheet, problems=not said))
    for text in footer(document, sheet):
        _say(console, page, ("dim", text))


def _laid(document: Document, sheet: Sheet, page: Page) -> list[Laid]:
    return [
        lay(
            column,
            page.spelled(column.heading),
            [page.spelled(column.cell(row)) for row in sheet.rows],
        )
        for column in document.reading()
    ]


def _lines(columns: list[Laid], rows: tuple[Row, ...], page: Page) -> Iterator[str]:
    width = sum(each.width for each in columns) + GAP * (len(columns) - 1)
    yield _line(columns, [(each.heading, "bold") for each in columns], page)
    yield " " * MARGIN + _inked(page.spelled("─") * width, "dim", page)
    for index, row in enumerate(rows):
        yield _line(columns, [(each.cells[index], _style(each, row)) for each in columns], page)


def _line(columns: list[Laid], cells: list[tuple[str, str]], page: Page) -> str:
    parts = []
    for each, (text, style) in zip(columns, cells, strict=True):
        short = _shortened(text, each.width, page)
        blanks = " " * (each.width - cells_of(short))
        ink = _inked(short, style, page)
        parts.append(blanks + ink if each.column.numeric else ink + blanks)
    return (" " * MARGIN + (" " * GAP).join(parts)).rstrip()


def _inked(text: str, style: str, page: Page) -> str:
    if not (page.color and style and text):
        return text
    from rich.color import ColorSystem
    from rich.style import Style

    return Style.parse(style).render(text, color_system=ColorSystem.STANDARD)


def _shortened(text: str, width: int, page: Page) -> str:
    limit, short = width, text
    while cells_of(short) > width and limit > 0:
        short = shortened(text, limit, page.spelled("…"))
        limit -= 1
    return short


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
        _say(console, page, (style, name), ("", shortened(remark.sentences, _LONGEST * 3)))
    more = len(found) - _REMARKS
    if more > 0:
        _say(console, page, ("dim", f"… {numbers.count(more)} more (--format json shows all)"))
    if found:
        console.print()


def _say(console: Console, page: Page, *parts: tuple[str, str]) -> None:
    """A sentence as wide as the page; what does not fit goes on below, a little to the right."""
    from rich.text import Text

    text = Text()
    for style, words in parts:
        text.append(page.spelled(words), style)
    for number, line in enumerate(text.wrap(console, page.width - 2 * MARGIN - _HANG)):
        line.rstrip()
        line.pad_left(MARGIN if number == 0 else MARGIN + _HANG)
        console.print(line, no_wrap=True, overflow="ignore", crop=False)
