"""Findings as workflow commands of GitHub Actions: the ten worst become annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.render import numbers
from normcli.render.escape import escaped, shortened
from normcli.render.gate_concise import closing
from normcli.render.gate_document import UNREADABLE, ranked, told, why_unread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from normcli.render.gate_document import GateDocument
    from normcli.render.page import Page

_SHOWN = 10  # annotations that GitHub shows of one kind and step
_LONGEST = 4000  # letters of a message
_NAME = 1000  # letters of a path

_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_DATA, ":": "%3A", ",": "%2C"}


def write_github(document: GateDocument, page: Page) -> None:
    """A command each for the worst, a notice for the others, and a line for the log."""
    commands = list(_commands(document))
    for text in commands[:_SHOWN]:
        page.write(page.spelled(text) + "\n")
    more = len(commands) - _SHOWN
    if more > 0:
        rest = f"{numbers.counted(more, 'more finding')}; --format json has them all"
        page.write(command("notice", {"title": "normcli"}, rest) + "\n")
    page.write(page.spelled(closing(document)) + "\n")


def command(name: str, properties: dict[str, str], message: str) -> str:
    """`::error title=…,file=…,line=1::message`, escaped as the runner unescapes it."""
    named = ",".join(f"{key}={_replaced(value, _PROPERTY)}" for key, value in properties.items())
    return f"::{name} {named}::{_replaced(message, _DATA)}"


def _commands(document: GateDocument) -> Iterator[str]:
    for unread in document.verdict.unread:
        hint = f"\nhint: {escaped(unread.hint)}" if unread.hint else ""
        yield _annotation(document, "error", UNREADABLE, unread.path, why_unread(unread) + hint)
    for checked, each in ranked(document.verdict):
        fix = f"\nfix: {escaped(each.fix)}" if each.fix else ""
        path = checked.report.path
        yield _annotation(document, each.severity, each.rule, path, told(each) + fix)


def _annotation(document: GateDocument, severity: str, rule: str, path: str, message: str) -> str:
    place = {
        "title": f"normcli {escaped(rule)}",
        "file": shortened(escaped(document.place(path)), _NAME),
        "line": "1",
    }
    return command(severity, place, shortened(message, _LONGEST))


def _replaced(text: str, table: Mapping[str, str]) -> str:
    return "".join(table.get(letter, letter) for letter in text)
