"""Findings as a Code Quality report of GitLab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from normcli.render.escape import escaped
from normcli.render.fingerprint import Fingerprints
from normcli.render.gate_document import UNREADABLE, ranked, told, why_unread
from normcli.render.gate_json import one_line_each

if TYPE_CHECKING:
    from collections.abc import Iterator

    from normcli.render.gate_document import GateDocument
    from normcli.render.page import Page

_SEVERITIES = {"error": "major", "warning": "minor"}
_UNREAD = "blocker"


def write_gitlab(document: GateDocument, page: Page) -> None:
    """A JSON array, an issue a finding that counts, the worst first."""
    page.write(one_line_each(list(_issues(document))) + "\n")


def _issues(document: GateDocument) -> Iterator[dict[str, Any]]:
    prints = Fingerprints()
    for unread in document.verdict.unread:
        about = (UNREADABLE, document.place(unread.path), "")
        yield _issue(prints, about, _UNREAD, why_unread(unread))
    for checked, each in ranked(document.verdict):
        about = (each.rule, document.place(checked.report.path), each.weight)
        yield _issue(prints, about, _SEVERITIES[each.severity], told(each))


def _issue(
    prints: Fingerprints, about: tuple[str, str, str], severity: str, description: str
) -> dict[str, Any]:
    rule, path, _ = about
    digest, time = prints.of(*about)
    return {
        "description": description,
        "check_name": escaped(rule),
        "fingerprint": digest if time == 1 else f"{digest}-{time}",
        "severity": severity,
        "location": {"path": escaped(path), "lines": {"begin": 1}},
    }
