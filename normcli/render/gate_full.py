"""Findings on a terminal: below their checkpoint, worst first, each with what can be done."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from normcli.render import numbers
from normcli.render.escape import escaped, shortened
from normcli.render.gate_document import held_to, idle, outcome, summary, why_unread, worst_first
from normcli.render.ink import console_for, say
from normcli.render.layout import MARGIN, cells_of
from normcli.render.table import narrowed

if TYPE_CHECKING:
    from rich.console import Console

    from normcli.records import Checked, Finding, Policy, Unread
    from normcli.render.gate_document import GateDocument
    from normcli.render.page import Page

_STYLES = {"error": "bold red", "warning": "yellow"}
_OUTCOMES = {"passed": "bold green", "failed": "bold red"}
_INDENT = 2  # blanks before what is said of a finding
_NOTES = 10  # of one checkpoint
_LONGEST = 400  # letters of a sentence; a name in it may be a megabyte
_NARROWEST = 8  # cells of a name


def write_full(document: GateDocument, page: Page) -> None:
    """A block a checkpoint, and the outcome."""
    verdict = document.verdict
    text = StringIO()
    console = console_for(text, page)
    for checked in verdict.checked:
        _checkpoint(console, page, checked, verdict.policy)
    for unread in verdict.unread:
        _unread(console, page, unread)
    said = outcome(verdict)
    say(console, page, (_OUTCOMES[said], said), ("", f" · {' · '.join(summary(document))}"))
    say(console, page, ("dim", held_to(verdict.policy)))
    page.write(text.getvalue())


def _checkpoint(console: Console, page: Page, checked: Checked, policy: Policy) -> None:
    report = checked.report
    rest = [
        escaped(report.format),
        numbers.size(sum(each.nbytes for each in report.files)),
        f"{numbers.counted(checked.looked_at, 'tensor')} checked",
        *([] if checked.counted else ["nothing found"]),
    ]
    say(console, page, ("bold", _fitted(report.path, page, 0)), ("dim", f"  {' · '.join(rest)}"))
    for finding in worst_first(checked.counted):
        _finding(console, page, finding)
    _asides(console, page, checked, policy)
    console.print()


def _finding(console: Console, page: Page, finding: Finding) -> None:
    used = len(finding.severity) + len(finding.rule) + len(": []  ")
    name = f"{_fitted(finding.weight, page, used)}  " if finding.weight else ""
    console.print()
    say(
        console,
        page,
        (_STYLES[finding.severity], f"{finding.severity}: "),
        ("bold", name),
        ("dim", f"[{escaped(finding.rule)}]"),
    )
    say(console, page, ("", _sentence(finding.message)), indent=_INDENT)
    if finding.fix:
        say(console, page, ("cyan", "fix: "), ("", _sentence(finding.fix)), indent=_INDENT)


def _unread(console: Console, page: Page, unread: Unread) -> None:
    path = _fitted(unread.path, page, len("error: "))
    say(console, page, (_STYLES["error"], "error: "), ("bold", path))
    say(console, page, ("", shortened(why_unread(unread), _LONGEST)), indent=_INDENT)
    if unread.hint:
        say(console, page, ("cyan", "hint: "), ("", _sentence(unread.hint)), indent=_INDENT)
    console.print()


def _asides(console: Console, page: Page, checked: Checked, policy: Policy) -> None:
    """What was said of the file, and which demands had nothing to look at."""
    notes = [_sentence(note) for note in checked.report.notes]
    more = len(notes) - _NOTES
    notes[_NOTES:] = [f"… {numbers.count(more)} more (--format json shows all)"] * (more > 0)
    names = idle(checked, policy)
    if names:
        notes.append(shortened(f"looked at no weight: {', '.join(names)}", _LONGEST * 3))
    if notes:
        console.print()
    for note in notes:
        say(console, page, ("dim", note))


def _fitted(name: str, page: Page, used: int) -> str:
    """A name cut in its middle to what a line leaves beside `used` cells."""
    text = page.spelled(escaped(name))
    room = page.width - 2 * MARGIN - _INDENT - used
    return text if cells_of(text) <= room else narrowed(text, max(room, _NARROWEST), page)


def _sentence(text: str) -> str:
    return shortened(escaped(text), _LONGEST)
