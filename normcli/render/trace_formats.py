"""A trace in every format that has a name; the table has a module of its own."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from normcli.render import csv, plain
from normcli.render.escape import escaped
from normcli.render.json import compact, head, lined
from normcli.render.markdown import code, quoted, rows_of
from normcli.render.page import Page
from normcli.render.trace import (
    FLAT,
    READING,
    SCHEMA,
    TraceDocument,
    left_out,
    reading_rows,
    rows,
    subject,
    summary,
)
from normcli.render.trace_table import write_table

if TYPE_CHECKING:
    from collections.abc import Mapping

TraceWriter: TypeAlias = Callable[[TraceDocument, Page], None]


def write_plain(document: TraceDocument, page: Page) -> None:
    """One line a step, in full precision."""
    plain.write_rows(READING, rows(document.trace), page)


def write_json(document: TraceDocument, page: Page) -> None:
    """One JSON object, as `trace.schema.json` beside this module describes it."""
    page.write(f"{head(SCHEMA, document.version)},\n ")
    for text in lined(document.trace.to_dict(), ("iterations",)):
        page.write(text)
    page.write("}\n")


def write_jsonl(document: TraceDocument, page: Page) -> None:
    """One step a line, as in `json`, with the path of the checkpoint and the name first."""
    trace = document.trace
    for record in trace.to_records():
        page.write(compact({"path": trace.path, "name": trace.name, **record}) + "\n")


def write_csv(document: TraceDocument, page: Page) -> None:
    """One row a step, the exact σ₁ beside it."""
    csv.write_rows(FLAT, rows(document.trace), page)


def write_markdown(document: TraceDocument, page: Page) -> None:
    """A heading, the steps, and what they come to."""
    trace = document.trace
    shown = reading_rows(trace)
    said = [*summary(trace), *filter(None, [left_out(trace, shown)]), *map(escaped, trace.notes)]
    lines = [
        f"### {code(escaped(trace.path))} {code(escaped(trace.name))}",
        "",
        quoted(subject(trace)),
        "",
        *rows_of(READING, shown),
        "",
        *(f"- {quoted(sentence)}" for sentence in said),
    ]
    page.write(page.spelled("\n".join(lines)) + "\n")


TRACE_FORMATS: Mapping[str, TraceWriter] = MappingProxyType(
    {
        "table": write_table,
        "plain": write_plain,
        "json": write_json,
        "jsonl": write_jsonl,
        "csv": write_csv,
        "markdown": write_markdown,
    }
)
