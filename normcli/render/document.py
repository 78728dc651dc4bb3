"""What to show of one run: a sheet a checkpoint, its rows in order, and what was left out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from normcli.render.columns import Column

if TYPE_CHECKING:
    from normcli.records import Report, Skipped
    from normcli.render.columns import Row, Value
    from normcli.render.listed import Listed

Columns: TypeAlias = Mapping[str, Column]


@dataclass(frozen=True, slots=True)
class Kind:
    """What documents of one command have in common.

    Attributes:
        schema: Name of the JSON schema, `normcli.report`.
        columns: Every column, in the order of CSV.
        reading: Names of the columns of a table, plain text and Markdown.
        flat: Names of the columns of CSV.
    """

    schema: str
    columns: Columns
    reading: tuple[str, ...]
    flat: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One checkpoint.

    Attributes:
        path: As the user gave it.
        format: As in `normcli.records.Report`.
        nbytes: Bytes of its files together.
        files: Number of its files.
        rows: The weights to show, in order; column name → value.
        total: Number of weights before `--limit`.
        parameters: Of all weights together.
        families: Norm family → number of weights; "" counts plain ones.
        remarks: What there is to say about each row, (weight, sentences), in the order of rows.
        skipped: What is not in the rows, and why.
        notes: About the file as a whole.
        source: What the rows were made of, without what `--limit` cut.
        failure_probability: That any bracket of the rows does not hold; None without brackets.
    """

    path: str
    format: str
    nbytes: int
    files: int
    rows: tuple[Row, ...]
    total: int
    parameters: int
    families: Mapping[str, int]
    remarks: tuple[tuple[str, tuple[str, ...]], ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    source: Report | Listed
    failure_probability: float | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """Everything that a format needs.

    Attributes:
        kind: Its columns and its schema.
        version: Of normcli.
        sheets: One a checkpoint, in the order asked for.
        chosen: Names of the columns asked for; empty leaves it to the format.
        seconds: How long it took; None where that is not to be shown.
    """

    kind: Kind
    version: str
    sheets: tuple[Sheet, ...]
    chosen: tuple[str, ...] = ()
    seconds: float | None = None

    def reading(self) -> tuple[Column, ...]:
        """The columns for people: those asked for, or the usual ones."""
        return tuple(self.kind.columns[name] for name in self.chosen or self.kind.reading)

    def flat(self) -> tuple[Column, ...]:
        """The columns for programs: those asked for, or every one with a value of its own."""
        return tuple(self.kind.columns[name] for name in self.chosen or self.kind.flat)


@dataclass(frozen=True, slots=True)
class Order:
    """Which rows, in which order.

    Attributes:
        column: Name of the column to sort by; empty keeps checkpoint order.
        descending: Largest first.
        limit: How many rows of each checkpoint; None for all.
    """

    column: str = ""
    descending: bool = False
    limit: int | None = None

    def arrange(self, rows: list[Row]) -> list[int]:
        """Indices of the rows to show. NaN counts as the largest number; no value comes last."""
        indices = list(range(len(rows)))
        if self.column:
            keys = [sort_key(row.get(self.column)) for row in rows]
            present = [i for i in indices if keys[i] is not None]
            absent = [i for i in indices if keys[i] is None]
            present.sort(key=lambda i: keys[i] or (), reverse=self.descending)
            indices = present + absent
        return indices[: self.limit]


def sort_key(value: Value) -> tuple[object, ...] | None:
    """What orders values of one column; None where there is no value."""
    if value is None:
        return None
    if isinstance(value, str):
        return (2, value)
    return (1, 0.0) if math.isnan(value) else (0, value)


def cut(notes: tuple[str, ...], shown: int, total: int) -> tuple[str, ...]:
    """The notes of a checkpoint, and how many of its weights `--limit` left."""
    return notes if shown == total else (*notes, f"shows {shown} of {total} weights")


def reasons(skipped: tuple[Skipped, ...]) -> dict[str, int]:
    """Reason → how many were skipped for it, the most frequent first."""
    counts: dict[str, int] = {}
    for each in skipped:
        counts[each.reason] = counts.get(each.reason, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))
