"""Plain text for pipes: a header line, cells apart by tabs, nothing cut, `-` for no value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.render.columns import full

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from normcli.render.columns import Column, Row
    from normcli.render.document import Document
    from normcli.render.page import Page


def write_plain(document: Document, page: Page) -> None:
    """One line a weight, its checkpoint's path first where there are several."""
    write_rows(_columns(document), (row for sheet in document.sheets for row in sheet.rows), page)


def write_rows(columns: Sequence[Column], rows: Iterable[Row], page: Page) -> None:
    """A header line and one line a row."""
    page.write("\t".join(column.name for column in columns) + "\n")
    for row in rows:
        cells = (page.spelled(full(row.get(column.name))) or "-" for column in columns)
        page.write("\t".join(cells) + "\n")


def _columns(document: Document) -> tuple[Column, ...]:
    columns = document.reading()
    if len(document.sheets) == 1 or document.chosen:
        return columns
    return (document.kind.columns["path"], *columns)
