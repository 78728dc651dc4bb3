"""The table of the corpus in docs/reliability.md, written by the run itself."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TYPE_CHECKING

from cases import REFUSED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cases import Case
    from running import Outcome

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"

_BEGIN, _END = "<!-- corpus -->", "<!-- /corpus -->"
_HEAD = ("| group | case | otherwise | verdict | what is said |", "|---|---|---|---|---|")
_LONGEST = 160  # letters of a message


def row(case: Case, outcome: Outcome) -> str:
    """The line of a case that was run."""
    return _line(case, outcome.verdict, said(case, outcome))


def barred_row(case: Case, reason: str) -> str:
    """The line of a case that cannot run here."""
    return _line(case, "not run", reason)


def said(case: Case, outcome: Outcome) -> str:
    """The message or the note that the case is about; empty for what is just read."""
    if outcome.verdict != REFUSED and not case.says:
        return ""
    sentences = outcome.errors if outcome.verdict == REFUSED else outcome.notes
    return next((each for each in sentences if case.says in each), "")


def rows() -> list[str]:
    """The lines of the table as the page has it."""
    _, table, _ = _parted(PAGE.read_text("utf-8"))
    return table[2:]


def lead(line: str) -> str:
    """What a line begins with: group and name, which no other line has."""
    return "|".join(line.split("|")[:3])


def start(case: Case) -> str:
    """`lead` of the line of a case."""
    return f"| {case.group} | {_cell(case.name)} "


def put(line: str, cases: Sequence[Case]) -> None:
    """Replace one line of the page; lines of cases that are gone leave it. Safe in parallel."""
    with PAGE.open("r+", encoding="utf-8") as page:
        fcntl.flock(page, fcntl.LOCK_EX)
        before, table, after = _parted(page.read())
        known = {lead(each): each for each in (*table[2:], line)}
        kept = [known[start(case)] for case in cases if start(case) in known]
        page.seek(0)
        page.write("\n".join((*before, *_HEAD, *kept, *after)) + "\n")
        page.truncate()


def _parted(text: str) -> tuple[list[str], list[str], list[str]]:
    """The lines up to the first marker, those between the markers, and the others."""
    lines = text.splitlines()
    begin, end = lines.index(_BEGIN) + 1, lines.index(_END)
    return lines[:begin], lines[begin:end], lines[end:]


def _line(case: Case, verdict: str, sentence: str) -> str:
    cut = sentence if len(sentence) <= _LONGEST else f"{sentence[:_LONGEST]}…"
    cells = (case.group, case.name, case.why, verdict, cut)
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return "".join(_escapes(text))


def _escapes(text: str) -> Iterator[str]:
    for letter in text:
        yield f"\\{letter}" if letter in "\\|*_`[]<>" else letter
