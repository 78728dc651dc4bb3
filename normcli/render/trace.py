"""What to show of a trace: its columns, what it is of, and what it comes to in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from normcli.records import TOLERANCES
from normcli.render import numbers
from normcli.render.columns import deviation, number, tally, words
from normcli.render.escape import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from normcli.records import StateValues, Trace
    from normcli.render.columns import Column, Row

SCHEMA = "normcli.trace"
_COLUMNS = (
    words("path", "checkpoint"),
    words("name", "weight"),
    tally("n", "step"),
    number("value", "power σ", digits=6),
    deviation("relative_error", "error"),
    number("spectral_norm", "σ₁"),
)
COLUMNS: Mapping[str, Column] = MappingProxyType({column.name: column for column in _COLUMNS})
FLAT = tuple(COLUMNS.values())
READING = tuple(COLUMNS[name] for name in ("n", "value", "relative_error"))

_MOST = 25  # rows for reading; of more steps the first ones, then fewer and fewer
_FIRST = 10
_FAMILIES = {"spectral": "spectral norm", "weight": "weight norm", "pruning": "a pruning mask"}


@dataclass(frozen=True, slots=True)
class TraceDocument:
    """Everything that a format needs: a trace, and the version of normcli that followed it."""

    trace: Trace
    version: str


def rows(trace: Trace) -> Iterator[Row]:
    """The start and every step, by column name."""
    for each in trace.steps:
        yield {
            "path": trace.path,
            "name": trace.name,
            "n": each.n,
            "value": each.value,
            "relative_error": each.relative_error,
            "spectral_norm": trace.spectral_norm.value,
        }


def reading_rows(trace: Trace) -> list[Row]:
    """The rows for people: of many steps the first ones, then 20, 50, 100, …, and the last."""
    every = list(rows(trace))
    if len(every) <= _MOST:
        return every
    last = len(every) - 1
    return [every[n] for n in [*range(_FIRST + 1), *_rounder(last), last]]


def _rounder(last: int) -> Iterator[int]:
    """20, 50, 100, 200, 500, … below the last step."""
    decade = _FIRST
    while True:
        for leading in (2, 5, 10):
            if decade * leading >= last:
                return
            yield decade * leading
        decade *= 10


def subject(trace: Trace) -> str:
    """What is iterated with: the original of a spectral norm, or the effective weight."""
    shape = "×".join(map(str, trace.matrix_shape))
    if trace.state is None:
        return f"the weight, {shape}"
    under = f"{shape}, under {_families(trace.state)} ({escaped(trace.state.layout)})"
    return f"the {'original' if trace.start == 'stored' else 'effective weight'}, {under}"


def _families(state: StateValues) -> str:
    names = [each.family for each in state.stack] or [state.family]
    return " and ".join(_FAMILIES.get(name, name) for name in names)


def summary(trace: Trace) -> list[str]:
    """The exact σ₁, how far apart σ₁ and σ₂ are, and how many steps it takes."""
    norm = trace.spectral_norm
    exact = [f"exact σ₁ {numbers.brief(norm.value, 6)}", escaped(norm.method)]
    if trace.gap is not None:
        exact.insert(1, f"σ₂/σ₁ {numbers.brief(trace.gap)}")
    start = "the stored u and v" if trace.start == "stored" else "a random start"
    lines = [" · ".join(exact)]
    if norm.value > 0:
        told = (_within(trace, key) for key in TOLERANCES)
        lines.append(f"from {start}: {' · '.join(told)}")
    return lines


def _within(trace: Trace, key: str) -> str:
    """`1 % after 3 steps`, `0.1 % after about 84 steps (predicted)`."""
    error = f"{TOLERANCES[key] * 100:g} %"
    count = trace.predicted[key]
    if count is None:
        return f"no prediction for {error}"
    if count == 0:
        return f"{error} without a step"
    steps = numbers.counted(count, "step")
    if count >= len(trace.steps):
        return f"{error} after about {steps} (predicted)"
    return f"{error} after {steps}"


def left_out(trace: Trace, shown: Sequence[Row]) -> str:
    """That there are more steps than are shown; empty where there are not."""
    total = len(trace.steps)
    if len(shown) == total:
        return ""
    return f"{len(shown)} of {numbers.count(total)} lines shown (--format plain shows all)"
