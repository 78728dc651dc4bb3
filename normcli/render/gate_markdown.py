"""Findings as GitHub-flavoured Markdown: a table that a job summary takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.render import numbers
from normcli.render.escape import escaped, shortened
from normcli.render.gate_document import UNREADABLE, held_to, idle, outcome, ranked, summary
from normcli.render.markdown import code, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from normcli.records import Verdict
    from normcli.render.gate_document import GateDocument
    from normcli.render.page import Page

LIMIT = 1_000_000  # bytes; a job summary of GitHub takes 1 MiB, all steps of a job together
_HEADINGS = ("severity", "checkpoint", "weight", "rule", "found", "fix")
_NAME = 200  # letters of a name or a path; either may be a megabyte
_SENTENCE = 600


def write_markdown(document: GateDocument, page: Page) -> None:
    """The outcome, a row a finding as long as there is room, and what was not looked at."""
    head = [f"### normcli check: {outcome(document.verdict)}", ""]
    tail = ["", *(line for each in _closing(document) for line in (each, ""))][:-1]
    rows = [page.spelled(line) for line in _rows(document.verdict)]
    room = LIMIT - sum(_nbytes(page.spelled(line)) for line in (*head, *tail, *_table()))
    kept = _fitting(rows, room)
    if rows:
        head += _table()
    if len(kept) < len(rows):
        more = numbers.count(len(rows) - len(kept))
        tail[:0] = ["", quoted(f"… {more} more findings have no room here")]
    page.write("\n".join([*map(page.spelled, head), *kept, *map(page.spelled, tail)]) + "\n")


def _table() -> list[str]:
    return [_line(_HEADINGS), _line([":---"] * len(_HEADINGS))]


def _rows(verdict: Verdict) -> Iterator[str]:
    for unread in verdict.unread:
        said = (f"could not be read: {unread.message}", unread.hint)
        yield _row("error", (unread.path, "", UNREADABLE), said)
    for checked, each in ranked(verdict):
        path = checked.report.path
        yield _row(each.severity, (path, each.weight, each.rule), (each.message, each.fix))


def _row(severity: str, named: tuple[str, str, str], said: tuple[str, str]) -> str:
    """A line of the table: of what, by path, weight and rule, what was found, what to do."""
    names = [_named(each) for each in named]
    sentences = [quoted(shortened(escaped(text), _SENTENCE)) for text in said]
    return _line([f"**{severity}**" if severity == "error" else severity, *names, *sentences])


def _named(text: str) -> str:
    return code(shortened(escaped(text), _NAME)).replace("|", "\\|") if text else ""


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _closing(document: GateDocument) -> Iterator[str]:
    policy = document.verdict.policy
    for checked in document.verdict.checked:
        names = idle(checked, policy)
        if names:
            sentence = shortened(f"looked at no weight: {', '.join(names)}", _SENTENCE)
            yield f"{_named(checked.report.path)} {quoted(sentence)}"
    yield quoted(" · ".join(summary(document)))
    yield quoted(held_to(policy))


def _fitting(rows: list[str], room: int) -> list[str]:
    kept = []
    for row in rows:
        room -= _nbytes(row)
        if room < 0:
            break
        kept.append(row)
    return kept


def _nbytes(line: str) -> int:
    return len(line.encode()) + 1
