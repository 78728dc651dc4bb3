"""GitHub-flavoured Markdown: a heading and a table a checkpoint, for a job summary or a comment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.render.footer import closing, footer, heading, remarks

if TYPE_CHECKING:
    from normcli.render.columns import Column, Row
    from normcli.render.document import Document, Sheet
    from normcli.render.page import Page

# Everything that Markdown or HTML would take as markup; a backslash before it makes it a letter.
_MARKUP = frozenset("\\`*_{}[]<>#|~&$")


def write_markdown(document: Document, page: Page) -> None:
    """A section a checkpoint: the table, what there is to say, what was skipped and why."""
    lines = [line for sheet in document.sheets for line in _section(document, sheet)]
    end = closing(document)
    lines += [_quoted(end)] if end else []
    page.write(page.spelled("\n".join(lines).rstrip("\n")) + "\n")


def _section(document: Document, sheet: Sheet) -> list[str]:
    path, rest = heading(sheet)
    lines = [f"### {_code(path)}", "", _quoted(rest), ""]
    lines += [*_table(document.reading(), sheet), ""]
    for remark in remarks(sheet, problems=False):
        about = f"{_code(remark.name)}: " if remark.name else ""
        lines.append(f"- {about}{_quoted(remark.sentences)}")
    lines += [""] if lines[-1] else []
    for line in footer(document, sheet):
        lines += [_quoted(line), ""]
    return lines


def _table(columns: tuple[Column, ...], sheet: Sheet) -> list[str]:
    lines = [
        _line([_quoted(column.heading) for column in columns]),
        _line(["---:" if column.numeric else ":---" for column in columns]),
    ]
    return lines + [_line([_cell(column, row) for column in columns]) for row in sheet.rows]


def _cell(column: Column, row: Row) -> str:
    text = column.cell(row)
    return _code(text).replace("|", "\\|") if column.name == "name" else _quoted(text)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    """The text as code: nothing in it is markup, a mention or a link."""
    fence = "`"
    while fence in text:
        fence += "`"
    inset = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{inset}{text}{inset}{fence}"


def _quoted(text: str) -> str:
    return "".join(f"\\{letter}" if letter in _MARKUP else letter for letter in text)
