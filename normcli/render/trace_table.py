"""A trace on a terminal: the steps, how the error falls as a row of blocks, and the sentences."""

from __future__ import annotations

import math
from io import StringIO
from typing import TYPE_CHECKING

from normcli.render import numbers
from normcli.render.escape import escaped, shortened
from normcli.render.ink import console_for, inked, say
from normcli.render.layout import MARGIN, lay
from normcli.render.sparkline import sparkline
from normcli.render.table import lines
from normcli.render.trace import READING, left_out, reading_rows, subject, summary

if TYPE_CHECKING:
    from rich.console import Console

    from normcli.records import Trace
    from normcli.render.page import Page
    from normcli.render.trace import TraceDocument

_LONGEST = 120  # letters of a name in a heading; a name may be a megabyte
_WIDEST = 60  # blocks


def write_table(document: TraceDocument, page: Page) -> None:
    """The heading, a line a step, the falling error, and what it comes to."""
    trace = document.trace
    text = StringIO()
    console = console_for(text, page)
    names = (escaped(trace.path), escaped(trace.name))
    path, name = (shortened(each, _LONGEST, page.spelled("…")) for each in names)
    say(console, page, ("bold", f"{path}  {name}"))
    say(console, page, ("dim", subject(trace)))
    console.print()
    _steps(console, trace, page)
    console.print()
    _falling(console, trace, page)
    for sentence in summary(trace):
        say(console, page, ("", sentence))
    for note in trace.notes:
        say(console, page, ("yellow", shortened(escaped(note), _LONGEST * 3)))
    page.write(text.getvalue())


def _steps(console: Console, trace: Trace, page: Page) -> None:
    shown = reading_rows(trace)
    columns = [
        lay(column, page.spelled(column.heading), [page.spelled(column.cell(row)) for row in shown])
        for column in READING
    ]
    for line in lines(columns, shown, page):
        console.file.write(f"{line}\n")
    more = left_out(trace, shown)
    if more:
        say(console, page, ("dim", more))


def _falling(console: Console, trace: Trace, page: Page) -> None:
    """The magnitude of the error at every step, where there are several and they are numbers."""
    errors = [math.nan if e.relative_error is None else e.relative_error for e in trace.steps]
    if len(errors) < 2 or not any(map(math.isfinite, errors)):
        return
    blocks = page.spelled(sparkline(errors, min(_WIDEST, page.width - 2 * MARGIN)))
    first, last = (numbers.deviation(error) for error in (errors[0], errors[-1]))
    console.file.write(" " * MARGIN + inked(blocks, "cyan", page) + "\n")
    say(console, page, ("dim", f"error, logarithmic, from {first} to {last}"))
    console.print()
