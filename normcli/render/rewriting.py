"""What to show of a rewritten checkpoint: its columns, and the sentences around them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING

from normcli.render import layers, numbers
from normcli.render.columns import number, shape, words
from normcli.render.escape import escaped, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from normcli.records import Change, Rewriting, Skipped, Spelling, Step
    from normcli.render.columns import Column, Row

SCHEMA = "normcli.receipt"
_COLUMNS = (
    words("path", "checkpoint"),
    words("output", "output"),
    words("name", "weight", 0),
    shape("shape", "shape", 6),
    words("dtype", "dtype"),
    words("before", "from", 5),
    words("before_family", "family before"),
    words("before_layout", "layout before"),
    words("after", "to", 4),
    words("after_family", "family after"),
    words("after_layout", "layout after"),
    words("dim", "dim", 3),
    number("sigma_before", "σ before", 2),
    number("sigma_after", "σ after", 1),
    number("spectral_norm", "σ₁", 7),
    number("largest_change", "max |ΔW|", 1),
    words("change", "what changes", 8),
    words("notes", "notes"),
)
COLUMNS: Mapping[str, Column] = MappingProxyType({column.name: column for column in _COLUMNS})
READING = tuple(
    COLUMNS[name]
    for name in (
        "name", "shape", "before", "after", "dim", "change",
        "sigma_before", "sigma_after", "spectral_norm", "largest_change",
    )
)  # fmt: skip
FLAT = (
    *(column for column in _COLUMNS if column.name not in ("before", "after")),
    *layers.FLAT,
)

_RANKS = {"shape": 8, "before": 7, "after": 7, "dim": 9, "change": 9}  # beside those of a layer
_DEEDS = {"initialize": ("layer", "initialized", "to initialize")}
_DEED = ("weight", "changed", "to change")  # of all other verbs
_NORMS = frozenset({"spectral", "weight"})  # families that have a row axis
_NAMED = 3  # names in a sentence about several
_LONGEST = 120  # letters of a name in a sentence; a name may be a megabyte
_REASON = 400


@dataclass(frozen=True, slots=True)
class RewritingDocument:
    """Everything that a format needs: a rewriting, and the version of normcli that did it."""

    rewriting: Rewriting
    version: str


def rows(rewriting: Rewriting) -> Iterator[Row]:
    """Every step with what it changed, flat, by column name."""
    for step in rewriting.steps:
        yield _row(rewriting, step, rewriting.changes.get(step.name))


def heading(rewriting: Rewriting) -> tuple[str, str]:
    """(`gan.pt → gan.plain.pt`, `remove · torch-zip · 271 kB`): from where to where, and what.

    An output or a batch beside the input is told by its name alone.
    """
    path, output = escaped(rewriting.path), escaped(rewriting.output)
    ways = dict.fromkeys((escaped(rewriting.format), escaped(rewriting.output_format)))
    size = sum(each.nbytes for each in rewriting.files)
    rest = [rewriting.verb, " → ".join(filter(None, ways)), numbers.size(size)]
    if rewriting.batch is not None:
        rest.append(f"on {shortened(_seen_from(path, escaped(rewriting.batch.name)), _LONGEST)}")
    if output == path:
        return path, " · ".join([*rest, "in place"])
    return f"{path} → {_seen_from(path, output)}", " · ".join(rest)


def ways(rewriting: Rewriting) -> list[str]:
    """`5 spectral legacy → plain`: how many weights change from which spelling to which."""
    counts = Counter((str(step.before), str(step.after)) for step in rewriting.steps)
    return [
        f"{numbers.count(count)} {before}" + (f" → {after}" if before != after else "")
        for (before, after), count in counts.items()
    ]


def plain_columns(rewriting: Rewriting) -> tuple[Column, ...]:
    """The columns of plain text."""
    return (*READING, *layers.FLAT) if rewriting.verb == "initialize" else READING


def reading(rewriting: Rewriting) -> tuple[Column, ...]:
    """The columns of a table: one spelling where nothing is stored in another way than before."""
    columns = _initialized() if rewriting.verb == "initialize" else READING
    if any(step.before != step.after for step in rewriting.steps):
        return columns
    rank = next(column.rank for column in columns if column.name == "after")
    same = replace(COLUMNS["before"], heading="stored as", rank=rank)
    kept = [column for column in columns if column.name != "after"]
    return tuple(same if column.name == "before" else column for column in kept)


def footer(rewriting: Rewriting) -> str:
    """`wrote gan.plain.pt · 271 kB · 7 weights changed, 2 left`; a plan says what it would do."""
    nbytes = sum(each.nbytes for each in rewriting.output_files)
    verb = "wrote" if rewriting.written else "would write"
    files = len(rewriting.output_files)
    parts = [
        f"{verb} {shortened(escaped(rewriting.output), _LONGEST)}",
        *([numbers.counted(files, "file")] if files > 1 else []),
        *([numbers.size(nbytes)] if nbytes else []),
        _counted(rewriting),
    ]
    return " · ".join(parts)


def remarks(rewriting: Rewriting) -> list[tuple[str, str]]:
    """(name, sentences) of each weight that there is something to say about."""
    found = ((step.name, rewriting.changes.get(step.name)) for step in rewriting.steps)
    return [
        (shortened(escaped(name), _LONGEST), shortened(escaped("; ".join(change.notes)), _REASON))
        for name, change in found
        if change is not None and change.notes
    ]


def said(rewriting: Rewriting) -> list[tuple[str, str]]:
    """(what, sentence) of what was left or dropped, then without a `what` about the output."""
    reasons: dict[str, list[Skipped]] = {}
    for each in rewriting.left:
        reasons.setdefault(each.reason, []).append(each)
    for each in rewriting.dropped:
        reasons.setdefault(f"dropped: {each.reason}", []).append(each)
    left = [(_names(found), _sentence(reason)) for reason, found in reasons.items()]
    return left + [("", _sentence(note)) for note in rewriting.notes]


def _initialized() -> tuple[Column, ...]:
    """The columns of a table about layers: what the model computes, before how it is stored."""
    name, *stored = (COLUMNS[each] for each in ("name", "shape", "before", "after", "dim"))
    ranked = [replace(each, rank=_RANKS[each.name]) for each in (*stored, COLUMNS["change"])]
    return (name, *ranked[:-1], *layers.READING, ranked[-1])


def _seen_from(path: str, other: str) -> str:
    """Another path: its name alone where it stands beside the first."""
    return PurePath(other).name if PurePath(other).parent == PurePath(path).parent else other


def _row(rewriting: Rewriting, step: Step, change: Change | None) -> Row:
    return {
        "path": rewriting.path,
        "output": rewriting.output,
        "name": step.name,
        "shape": "x".join(map(str, step.shape)),
        "dtype": step.weight.dtype,
        **_spelled("before", step.before),
        **_spelled("after", step.after),
        "dim": _dim(step, change),
        "change": step.change,
        **({} if change is None else _numbers(change)),
    }


def _numbers(change: Change) -> Row:
    return {
        "sigma_before": change.sigma_before,
        "sigma_after": change.sigma_after,
        "spectral_norm": change.spectral_norm,
        "largest_change": change.largest_change,
        "notes": "; ".join(change.notes) or None,
        **({} if change.layer is None else layers.cells(change.layer)),
    }


def _spelled(side: str, spelling: Spelling) -> Row:
    return {
        side: str(spelling),
        f"{side}_family": spelling.family or None,
        f"{side}_layout": spelling.layout or None,
    }


def _dim(step: Step, change: Change | None) -> str | None:
    """The axis; `none` for one norm over the whole tensor, no value where no norm has an axis."""
    axis = step.axis if change is None else change.axis
    if axis is not None:
        return str(axis)
    families = {*step.before.family.split("+"), *step.after.family.split("+")}
    return "none" if families & _NORMS else None


def _counted(rewriting: Rewriting) -> str:
    noun, did, would = _DEEDS.get(rewriting.verb, _DEED)
    steps = len(rewriting.steps)
    found = numbers.counted(steps, noun) if steps else f"no {noun}"
    done = f"{found} {did if rewriting.written else would}"
    left, dropped = len(rewriting.left), len(rewriting.dropped)
    parts = [done, f"{numbers.count(left)} left", f"{numbers.count(dropped)} dropped"]
    return ", ".join(parts[:1] + parts[1:2] * bool(left) + parts[2:] * bool(dropped))


def _names(found: list[Skipped]) -> str:
    """`a`, `a, b, c`, or `a, b, c and 9 more`."""
    named = ", ".join(shortened(escaped(each.name), _LONGEST) for each in found[:_NAMED])
    more = len(found) - _NAMED
    return f"{named} and {numbers.count(more)} more" if more > 0 else named


def _sentence(text: str) -> str:
    return shortened(escaped(text), _REASON)
