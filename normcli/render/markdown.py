"""GitHub-flavoured Markdown: a heading and a table a checkpoint, for a job summary or a comment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.render.footer import closing, footer, heading, remarks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normcli.render.columns import Column, Row
    from normcli.render.document import Document, Sheet
    from normcli.render.page import Page

# Everything that Markdown or HTML would take as markup; a backslash before it makes it a letter.
_MARKUP = frozenset("\\`*_{}[]<>#|~&$")


def write_markdown(document: Document, page: Page) -> None:
    """A section a checkpoint: the table, what there is to say, what was skipped and why."""
    lines = [line for sheet in document.sheets for line in _section(document, sheet)]
    end = closing(document)
    lines += [quoted(end)] if end else []
    page.write(page.spelled("\n".join(lines).rstrip("\n")) + "\n")


def _section(document: Document, sheet: Sheet) -> list[str]:
    path, rest = heading(sheet)
    lines = [f"### {code(path)}", "", quoted(rest), ""]
    lines += [*rows_of(document.reading(), sheet.rows), ""]
    for remark in remarks(sheet, problems=False):
        about = f"{code(remark.name)}: " if remark.name else ""
        lines.append(f"- {about}{quoted(remark.sentences)}")
    lines += [""] if lines[-1] else []
    for line in footer(document, sheet):
        lines += [quoted(line), ""]
    return lines


def rows_of(columns: Sequence[Column], rows: Sequence[Row]) -> list[str]:
    """A table with its headings, a line a row."""
    lines = [
        _line([quoted(column.heading) for column in columns]),
        _line(["---:" if column.numeric else ":---" for column in columns]),
    ]
    return lines + [_line([_cell(column, row) for column in columns]) for row in rows]


def _cell(column: Column, row: Row) -> str:
    text = column.cell(row)
    return code(text).replace("|", "\\|") if column.name == "name" else quoted(text)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def code(text: str) -> str:
    """The text as code: nothing in it is markup, a mention or a link."""
    fence = "`"
    while fence in text:
        fence += "`"
    inset = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{inset}{text}{inset}{fence}"


def quoted(text: str) -> str:
    """The text as prose: nothing in it is markup."""
    return "".join(f"\\{letter}" if letter in _MARKUP else letter for letter in text)
