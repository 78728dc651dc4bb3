"""The sentences around a table: heading, remarks, counts, what was skipped and why, the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from normcli.render import numbers
from normcli.render.document import reasons
from normcli.render.escape import escaped

if TYPE_CHECKING:
    from normcli.render.columns import Row
    from normcli.render.document import Document, Sheet

_FAMILIES = {"spectral": "spectral", "weight": "weight norm", "": "plain"}
_REASONS = 6  # distinct reasons that a footer spells out


@dataclass(frozen=True, slots=True)
class Remark:
    """Sentences about one weight, escaped; without a name they are about the file."""

    name: str
    sentences: str
    row: Row


def heading(sheet: Sheet) -> tuple[str, str]:
    """The path of a checkpoint, and its format and size."""
    shards = [numbers.counted(sheet.files, "file")] if sheet.files > 1 else []
    rest = [escaped(sheet.format), *shards, numbers.size(sheet.nbytes)]
    return escaped(sheet.path), " · ".join(rest)


def remarks(sheet: Sheet, *, problems: bool) -> list[Remark]:
    """What there is to say: about the file first, without a name, then about single weights.

    Args:
        sheet: Of one checkpoint.
        problems: Whether the words of the column `problems` are to be said here, for weights that
            have no sentences of their own.
    """
    found = [Remark("", escaped(note), {}) for note in sheet.notes]
    for row, (name, notes) in zip(sheet.rows, sheet.remarks, strict=True):
        words = str(row.get("problems") or "") if problems else ""
        sentences = "; ".join(notes) or words
        if sentences:
            found.append(Remark(escaped(name), escaped(sentences), row))
    return found


def footer(document: Document, sheet: Sheet) -> list[str]:
    """How many weights of which kind, the time, how sure the brackets are, what was skipped."""
    alone = len(document.sheets) == 1
    parts = [_weights(sheet), _parameters(sheet.parameters), *(_time(document) if alone else [])]
    lines = [" · ".join(parts)]
    if sheet.failure_probability:
        lines.append(f"all brackets hold but with probability {sheet.failure_probability:.1g}")
    if sheet.skipped:
        lines.append(_skipped(sheet))
    return lines


def closing(document: Document) -> str:
    """Totals of several checkpoints, and the time; empty where there is one."""
    if len(document.sheets) == 1:
        return ""
    parts = [
        numbers.counted(len(document.sheets), "checkpoint"),
        numbers.counted(sum(sheet.total for sheet in document.sheets), "weight"),
        _parameters(sum(sheet.parameters for sheet in document.sheets)),
        *_time(document),
    ]
    return " · ".join(parts)


def _time(document: Document) -> list[str]:
    return [] if document.seconds is None else [numbers.seconds(document.seconds)]


def _weights(sheet: Sheet) -> str:
    kinds = [
        f"{numbers.count(number)} {_FAMILIES.get(family, family)}"
        for family, number in sorted(sheet.families.items(), key=lambda pair: pair[0] == "")
    ]
    shown = len(sheet.rows)
    total = numbers.counted(sheet.total, "weight")
    counted = total if shown == sheet.total else f"{numbers.count(shown)} of {total} shown"
    return f"{counted} ({', '.join(kinds)})" if kinds else counted


def _parameters(number: int) -> str:
    if number < 1_000_000:
        return numbers.counted(number, "parameter")
    value, unit = (number / 1e6, "M") if number < 1_000_000_000 else (number / 1e9, "G")
    return f"{value:.4g} {unit} parameters"


def _skipped(sheet: Sheet) -> str:
    counts = reasons(sheet.skipped)
    named = [f"{numbers.count(n)} {escaped(why)}" for why, n in list(counts.items())[:_REASONS]]
    rest = sum(list(counts.values())[_REASONS:])
    named += [f"{numbers.count(rest)} for other reasons"] if rest else []
    return f"{numbers.count(len(sheet.skipped))} skipped: {' · '.join(named)}"
