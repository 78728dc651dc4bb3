"""Findings as SARIF 2.1.0 (OASIS), as code scanning takes them."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from normcli.render.escape import escaped
from normcli.render.fingerprint import Fingerprints
from normcli.render.gate_document import UNREADABLE, ranked, told, why_unread
from normcli.render.json import lined
from normcli.render.rule_help import help_of, rule_help

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from normcli.records import Checked, Finding, Unread, Verdict
    from normcli.render.gate_document import GateDocument
    from normcli.render.page import Page

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_ROOT = "%SRCROOT%"  # what code scanning takes for the root of the repository
_FINGERPRINT = "primaryLocationLineHash"  # the one that code scanning looks at
_DIGITS = 16  # of a fingerprint
_UNREADABLE = help_of(
    "Every checkpoint can be read.\n\nWhy: What was not read was not checked, so it cannot pass."
    "\n\nFix: See what the message says; `normcli ls PATH` tells the same without a policy."
)


def write_sarif(document: GateDocument, page: Page) -> None:
    """One run; every result with a place in a file, ignored ones suppressed."""
    rules = _rules(document.verdict)
    run = {
        "tool": {"driver": _driver(document, rules)},
        "invocations": [_invocation(document)],
        "originalUriBaseIds": {_ROOT: {"description": {"text": "Root of the repository."}}},
        "columnKind": "unicodeCodePoints",
        "results": list(_results(document, {name: at for at, name in enumerate(rules)})),
    }
    page.write(f'{{"$schema": "{SCHEMA}", "version": "2.1.0", "runs": [{{\n ')
    for text in lined(run, ("results",)):
        page.write(text)
    page.write("}]}\n")


def _rules(verdict: Verdict) -> list[str]:
    """Names of the rules that were demanded or broken, each once."""
    names = [UNREADABLE, *(each.rule for each in verdict.policy.demands)]
    names += [each.rule for checked in verdict.checked for each in checked.findings]
    return list(dict.fromkeys(names))


def _driver(document: GateDocument, rules: list[str]) -> dict[str, Any]:
    return {
        "name": "normcli",
        "version": document.version,
        "rules": [_rule(name) for name in rules],
    }


def _rule(name: str) -> dict[str, Any]:
    about = _UNREADABLE if name == UNREADABLE else rule_help(name)
    parts = (
        about.summary,
        about.why and f"**Why:** {about.why}",
        about.fix and f"**Fix:** {about.fix}",
    )
    return {
        "id": escaped(name),
        "shortDescription": {"text": about.summary},
        "fullDescription": {"text": f"{about.summary} {about.why}".strip()},
        "help": {"text": about.text, "markdown": "\n\n".join(filter(None, parts))},
        "defaultConfiguration": {"level": about.severity},
    }


def _invocation(document: GateDocument) -> dict[str, Any]:
    notifications = [
        {
            "level": "error",
            "message": _text(why_unread(each)),
            "locations": [{"physicalLocation": _physical(document, each.path)}],
        }
        for each in document.verdict.unread
    ]
    record: dict[str, Any] = {"executionSuccessful": not notifications}
    return {**record, "toolExecutionNotifications": notifications} if notifications else record


def _results(document: GateDocument, rules: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    prints = Fingerprints()
    for unread in document.verdict.unread:
        yield _unread(document, unread, rules, prints)
    for checked, finding in ranked(document.verdict, ignored=True):
        yield _result(document, checked, finding, rules, prints)


def _unread(
    document: GateDocument, unread: Unread, rules: Mapping[str, int], prints: Fingerprints
) -> dict[str, Any]:
    return {
        "ruleId": UNREADABLE,
        "ruleIndex": rules[UNREADABLE],
        "level": "error",
        "message": _text(why_unread(unread), "hint", unread.hint),
        "locations": [{"physicalLocation": _physical(document, unread.path)}],
        "partialFingerprints": _fingerprint(prints.of(UNREADABLE, "", within=unread.path)),
    }


def _result(
    document: GateDocument,
    checked: Checked,
    finding: Finding,
    rules: Mapping[str, int],
    prints: Fingerprints,
) -> dict[str, Any]:
    path = checked.report.path
    location: dict[str, Any] = {"physicalLocation": _physical(document, path)}
    if finding.weight:
        weight = {"fullyQualifiedName": escaped(finding.weight), "kind": "variable"}
        location["logicalLocations"] = [weight]
    record = {
        "ruleId": escaped(finding.rule),
        "ruleIndex": rules[finding.rule],
        "level": finding.severity,
        "message": _text(told(finding), "fix", finding.fix),
        "locations": [location],
        "partialFingerprints": _fingerprint(prints.of(finding.rule, finding.weight, within=path)),
    }
    if finding.ignored is not None:
        reason = escaped(finding.ignored.reason)
        record["suppressions"] = [{"kind": "external", "justification": reason}]
    return record


def _text(message: str, name: str = "", rest: str = "") -> dict[str, str]:
    """A message with what can be done below it; `{0}` in it is no place, `[a](b)` no link."""
    whole = f"{message}\n{name}: {escaped(rest)}" if rest else message
    return {"text": whole.replace("{", "{{").replace("}", "}}").replace("](", "] (")}


def _fingerprint(found: tuple[str, int]) -> dict[str, str]:
    digest, time = found
    return {_FINGERPRINT: f"{digest[:_DIGITS]}:{time}"}


def _physical(document: GateDocument, path: str) -> dict[str, Any]:
    place = document.place(path)
    uri = quote(_bytes(place))
    below = not PurePath(place).is_absolute()
    artifact = {"uri": uri, "uriBaseId": _ROOT} if below else {"uri": f"file://{uri}"}
    return {"artifactLocation": artifact, "region": {"startLine": 1}}


def _bytes(path: str) -> bytes:
    """As the file system has it; a path from a report may hold what no file system has."""
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:
        return path.encode("utf-8", "surrogatepass")
