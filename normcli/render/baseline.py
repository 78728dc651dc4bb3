"""A baseline as people and programs read it: a table a checkpoint, or its lines by format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import StringIO
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from normcli.gate.baseline import baseline_text, line_record
from normcli.records import Recorded
from normcli.render import csv, plain
from normcli.render.columns import number, shape, words
from normcli.render.escape import escaped, shortened
from normcli.render.ink import console_for, say
from normcli.render.json import compact
from normcli.render.layout import fit, lay
from normcli.render.markdown import code, quoted, rows_of
from normcli.render.numbers import counted
from normcli.render.page import Page
from normcli.render.table import lines

if TYPE_CHECKING:
    from rich.console import Console

    from normcli.render.columns import Row

Baselines: TypeAlias = Mapping[str, Mapping[str, Recorded]]
BaselineWriter: TypeAlias = Callable[[Baselines, Page], None]

_LONGEST = 120  # letters of a name in a heading
_DIGITS = 6  # all that a baseline has
_CHECKPOINT = words("checkpoint", "checkpoint")
_COLUMNS = (
    words("name", "weight", 0),
    shape("shape", "shape", 2),
    words("dtype", "dtype", 5),
    words("state", "state", 4),
    number("frobenius", "‖W‖_F", 3, digits=_DIGITS),
    number("spectral_norm", "σ₁", 1, digits=_DIGITS),
    number("stable_rank", "stable rank", 6, digits=_DIGITS),
)


def write_table(baselines: Baselines, page: Page) -> None:
    """A table a checkpoint below its name, and how much there is."""
    text = StringIO()
    console = console_for(text, page)
    for name in sorted(baselines):
        say(console, page, ("bold", shortened(escaped(name), _LONGEST, page.spelled("…"))))
        _lines(console, _rows(name, baselines), page)
        console.print()
    say(console, page, ("dim", _counts(baselines)))
    page.write(text.getvalue())


def write_plain(baselines: Baselines, page: Page) -> None:
    """One line a weight, its checkpoint first where there are several."""
    columns = _COLUMNS if len(baselines) == 1 else (_CHECKPOINT, *_COLUMNS)
    plain.write_rows(columns, _all_rows(baselines), page)


def write_json(baselines: Baselines, page: Page) -> None:
    """The baseline itself, as `normcli baseline write` writes it."""
    page.write(baseline_text(baselines))


def write_jsonl(baselines: Baselines, page: Page) -> None:
    """One weight a line, as in the file, with the name of its checkpoint and its own first."""
    for name in sorted(baselines):
        for weight in sorted(baselines[name]):
            record = line_record(baselines[name][weight])
            page.write(compact({"checkpoint": name, "name": weight, **record}) + "\n")


def write_csv(baselines: Baselines, page: Page) -> None:
    """One row a weight."""
    csv.write_rows((_CHECKPOINT, *_COLUMNS), _all_rows(baselines), page)


def write_markdown(baselines: Baselines, page: Page) -> None:
    """A heading and a table a checkpoint."""
    text = []
    for name in sorted(baselines):
        text += [f"### {code(escaped(name))}", "", *rows_of(_COLUMNS, _rows(name, baselines)), ""]
    text.append(quoted(_counts(baselines)))
    page.write(page.spelled("\n".join(text)) + "\n")


BASELINE_FORMATS: Mapping[str, BaselineWriter] = MappingProxyType(
    {
        "table": write_table,
        "plain": write_plain,
        "json": write_json,
        "jsonl": write_jsonl,
        "csv": write_csv,
        "markdown": write_markdown,
    }
)


def _rows(checkpoint: str, baselines: Baselines) -> list[Row]:
    weights = baselines[checkpoint]
    return [_row(checkpoint, name, weights[name]) for name in sorted(weights)]


def _all_rows(baselines: Baselines) -> list[Row]:
    return [row for name in sorted(baselines) for row in _rows(name, baselines)]


def _row(checkpoint: str, name: str, weight: Recorded) -> Row:
    return {
        "checkpoint": checkpoint,
        "name": name,
        "shape": "x".join(map(str, weight.shape)),
        "dtype": weight.dtype,
        "state": weight.state or None,
        "frobenius": weight.frobenius,
        "spectral_norm": weight.spectral_norm,
        "stable_rank": weight.stable_rank,
    }


def _lines(console: Console, rows: list[Row], page: Page) -> None:
    if not rows:
        return
    laid = [
        lay(column, page.spelled(column.heading), [page.spelled(column.cell(row)) for row in rows])
        for column in _COLUMNS
    ]
    console.print()
    for line in lines(fit(laid, page.width, droppable=True), rows, page):
        console.file.write(f"{line}\n")


def _counts(baselines: Baselines) -> str:
    weights = sum(map(len, baselines.values()))
    return f"{counted(len(baselines), 'checkpoint')}, {counted(weights, 'weight')}"
