"""One line a finding, for grep: `path: weight: severity: message [rule]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.render.escape import escaped
from normcli.render.gate_document import UNREADABLE, outcome, summary, why_unread, worst_first

if TYPE_CHECKING:
    from collections.abc import Iterator

    from normcli.records import Verdict
    from normcli.render.gate_document import GateDocument
    from normcli.render.page import Page


def write_concise(document: GateDocument, page: Page) -> None:
    """Every finding that counts, nothing cut, and a last line with the outcome."""
    for line in _lines(document.verdict):
        page.write(page.spelled(line) + "\n")
    page.write(page.spelled(closing(document)) + "\n")


def closing(document: GateDocument) -> str:
    """The last line: `failed: 1 error in 1 checkpoint · 41 tensors checked`."""
    return f"{outcome(document.verdict)}: {' · '.join(summary(document))}"


def _lines(verdict: Verdict) -> Iterator[str]:
    for checked in verdict.checked:
        path = escaped(checked.report.path)
        for each in worst_first(checked.counted):
            weight = f"{escaped(each.weight)}: " if each.weight else ""
            message = escaped(each.message)
            yield f"{path}: {weight}{each.severity}: {message} [{escaped(each.rule)}]"
    for unread in verdict.unread:
        yield f"{escaped(unread.path)}: error: {why_unread(unread)} [{UNREADABLE}]"
