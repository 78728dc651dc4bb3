"""A rewritten checkpoint on a terminal: a line a weight, what there is to say, what was written."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from normcli.render import numbers
from normcli.render.escape import shortened
from normcli.render.ink import console_for, say
from normcli.render.layout import fit, lay
from normcli.render.rewriting import footer, heading, reading, remarks, rows, said, ways
from normcli.render.table import lines

if TYPE_CHECKING:
    from rich.console import Console

    from normcli.records import Rewriting
    from normcli.render.page import Page
    from normcli.render.rewriting import RewritingDocument

_REMARKS = 10  # sentences about single weights
_LONGEST = 240  # letters of the paths in the heading


def write_table(document: RewritingDocument, page: Page) -> None:
    """The heading, a line a weight, the sentences, and what was written."""
    rewriting = document.rewriting
    text = StringIO()
    console = console_for(text, page)
    paths, rest = heading(rewriting)
    say(console, page, ("bold", shortened(paths, _LONGEST)), ("dim", f"  {rest}"))
    if rewriting.steps:
        console.print()
        _weights(console, rewriting, page)
    console.print()
    _sentences(console, rewriting, page)
    say(console, page, ("bold" if rewriting.written else "dim", footer(rewriting)))
    page.write(text.getvalue())


def _weights(console: Console, rewriting: Rewriting, page: Page) -> None:
    shown = list(rows(rewriting))
    columns = [
        lay(column, page.spelled(column.heading), [page.spelled(column.cell(row)) for row in shown])
        for column in reading(rewriting)
    ]
    kept = fit(columns, page.width, droppable=True)
    for line in lines(kept, shown, page):
        console.file.write(f"{line}\n")  # as wide as it is; print would take 10 times longer
    hidden = {each.column.name for each in columns} - {each.column.name for each in kept}
    if hidden & {"before", "after"}:
        console.print()
        say(console, page, ("dim", " · ".join(ways(rewriting))))


def _sentences(console: Console, rewriting: Rewriting, page: Page) -> None:
    about = remarks(rewriting)
    for name, sentence in about[:_REMARKS]:
        say(console, page, ("yellow", f"{name}: "), ("", sentence))
    more = len(about) - _REMARKS
    if more > 0:
        say(console, page, ("dim", f"… {numbers.count(more)} more (--format json shows all)"))
    for what, sentence in said(rewriting):
        say(console, page, ("yellow", f"{what}: " if what else ""), ("", sentence))
    if about or rewriting.left or rewriting.notes:
        console.print()
