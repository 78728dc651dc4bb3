"""A result as text: `document` says what to show, one module a format says how.

To add a format: a module with `write_x(document, page)`, a line in `FORMATS`, and a golden file
(`pytest tests/render --write-golden`). Nothing here computes a norm, and nothing imports rich
before a table is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from normcli.render.csv import write_csv
from normcli.render.document import Document
from normcli.render.json import write_json
from normcli.render.jsonl import write_jsonl
from normcli.render.markdown import write_markdown
from normcli.render.page import Page
from normcli.render.plain import write_plain
from normcli.render.table import write_table

if TYPE_CHECKING:
    from collections.abc import Mapping

Writer: TypeAlias = Callable[[Document, Page], None]

FORMATS: Mapping[str, Writer] = MappingProxyType(
    {
        "table": write_table,
        "plain": write_plain,
        "json": write_json,
        "jsonl": write_jsonl,
        "csv": write_csv,
        "markdown": write_markdown,
    }
)

__all__ = ["FORMATS", "Document", "Page", "Writer"]
