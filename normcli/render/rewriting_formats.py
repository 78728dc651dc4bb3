"""A rewritten checkpoint in every format that has a name; the table has a module of its own."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from normcli.render import csv, plain
from normcli.render.json import compact, head, lined
from normcli.render.markdown import code, quoted, rows_of
from normcli.render.page import Page
from normcli.render.rewriting import (
    FLAT,
    SCHEMA,
    RewritingDocument,
    footer,
    heading,
    plain_columns,
    reading,
    remarks,
    rows,
    said,
)
from normcli.render.rewriting_table import write_table

if TYPE_CHECKING:
    from collections.abc import Mapping

RewritingWriter: TypeAlias = Callable[[RewritingDocument, Page], None]


def write_plain(document: RewritingDocument, page: Page) -> None:
    """One line a weight, in full precision."""
    plain.write_rows(plain_columns(document.rewriting), rows(document.rewriting), page)


def write_json(document: RewritingDocument, page: Page) -> None:
    """The receipt: one JSON object, as `rewriting.schema.json` beside this module describes it."""
    page.write(f"{head(SCHEMA, document.version)},\n ")
    for text in lined(document.rewriting.to_dict(), ("weights", "left", "dropped")):
        page.write(text)
    page.write("}\n")


def write_jsonl(document: RewritingDocument, page: Page) -> None:
    """One weight a line, as in `json`, with the paths of the input and the output first."""
    rewriting = document.rewriting
    ends = {"path": rewriting.path, "output": rewriting.output}
    for record in rewriting.to_dict()["weights"]:
        page.write(compact({**ends, **record}) + "\n")


def write_csv(document: RewritingDocument, page: Page) -> None:
    """One row a weight, flat column names, numbers with every digit."""
    csv.write_rows(FLAT, rows(document.rewriting), page)


def write_markdown(document: RewritingDocument, page: Page) -> None:
    """A heading, the weights, what there is to say, and what was written."""
    rewriting = document.rewriting
    path, rest = heading(rewriting)
    shown = list(rows(rewriting))
    columns = reading(rewriting)
    used = [each for each in columns if any(row.get(each.name) is not None for row in shown)]
    lines = [f"### {code(path)}", "", quoted(rest), ""]
    lines += [*rows_of(used, shown), ""] if shown else []
    for name, sentence in remarks(rewriting) + said(rewriting):
        about = f"{code(name)}: " if name else ""
        lines.append(f"- {about}{quoted(sentence)}")
    lines += [""] if lines[-1] else []
    page.write(page.spelled("\n".join([*lines, quoted(footer(rewriting))])) + "\n")


REWRITING_FORMATS: Mapping[str, RewritingWriter] = MappingProxyType(
    {
        "table": write_table,
        "plain": write_plain,
        "json": write_json,
        "jsonl": write_jsonl,
        "csv": write_csv,
        "markdown": write_markdown,
    }
)
