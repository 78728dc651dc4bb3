"""CSV (RFC 4180): one row a weight, flat column names, numbers with every digit."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from normcli.render.columns import full

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from normcli.render.columns import Column, Row
    from normcli.render.document import Document
    from normcli.render.page import Page


def write_csv(document: Document, page: Page) -> None:
    """A header line and one line a weight; unsafe characters of names are escaped."""
    write_rows(document.flat(), (row for sheet in document.sheets for row in sheet.rows), page)


def write_rows(columns: Sequence[Column], rows: Iterable[Row], page: Page) -> None:
    """A header line and one line a row."""
    writer = csv.writer(page.out, lineterminator="\n")
    writer.writerow([column.name for column in columns])
    for row in rows:
        writer.writerow([full(row.get(column.name)) for column in columns])
