"""Findings as JUnit XML: a test suite a checkpoint, a test case a demand of the policy."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET  # only writes

from normcli.render.escape import escaped
from normcli.render.gate_document import UNREADABLE, demand_name, of_weights, severe, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normcli.records import Checked, Demand, Finding, Policy, Unread
    from normcli.render.gate_document import GateDocument
    from normcli.render.page import Page

_COUNTS = {"failures": "failure", "errors": "error", "skipped": "skipped"}
_POLICY = "policy"  # the case of what the policy itself is found to be


def write_junit(document: GateDocument, page: Page) -> None:
    """What fails the gate is a failure; a demand that looked at no weight was skipped."""
    verdict = document.verdict
    root = ET.Element("testsuites", name="normcli")
    for checked in verdict.checked:
        _suite(root, checked, verdict.policy)
    for unread in verdict.unread:
        _unread(root, unread)
    _count(root)
    if document.seconds is not None:
        root.set("time", f"{document.seconds:.3f}")
    ET.indent(root)
    declaration = '<?xml version="1.0" encoding="UTF-8"?>\n'
    page.write(declaration + ET.tostring(root, encoding="us-ascii").decode("ascii") + "\n")


def _suite(root: ET.Element, checked: Checked, policy: Policy) -> None:
    suite = ET.SubElement(root, "testsuite", name=escaped(checked.report.path))
    cases: dict[int, list[Finding]] = {}
    for each in checked.counted:
        known = 0 <= each.demand < len(policy.demands)
        cases.setdefault(each.demand if known else -1, []).append(each)
    for index, (demand, name) in enumerate(zip(policy.demands, _names(policy), strict=True)):
        case = _case(suite, demand.rule, name)
        _findings(case, cases.get(index, []), severe(policy))
        if index not in cases and _looked_at_nothing(checked, index, demand):
            ET.SubElement(case, "skipped", message="looked at no weight")
    _findings(_case(suite, _POLICY, _POLICY), cases.get(-1, []), severe(policy))
    _count(suite)


def _names(policy: Policy) -> list[str]:
    """A name for each demand; the second of one name is told from the first."""
    seen: Counter[str] = Counter()
    names = []
    for name in map(demand_name, policy.demands):
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return names


def _unread(root: ET.Element, unread: Unread) -> None:
    suite = ET.SubElement(root, "testsuite", name=escaped(unread.path))
    case = _case(suite, UNREADABLE, UNREADABLE)
    error = ET.SubElement(case, "error", type=UNREADABLE, message=escaped(unread.message))
    error.text = escaped(unread.message)
    if unread.hint:
        error.text += f"\nhint: {escaped(unread.hint)}"
    _count(suite)


def _case(suite: ET.Element, rule: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=escaped(rule), name=name, time="0")


def _findings(case: ET.Element, findings: Sequence[Finding], fatal: Sequence[str]) -> None:
    """One failure with all findings that fail the gate; the others are what the case printed."""
    failing = [each for each in findings if each.severity in fatal]
    others = [each for each in findings if each.severity not in fatal]
    if failing:
        more = f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
        attributes = {"type": escaped(failing[0].rule), "message": told(failing[0]) + more}
        ET.SubElement(case, "failure", attributes).text = _listed(failing)
    if others:
        ET.SubElement(case, "system-out").text = _listed(others)


def _listed(findings: Sequence[Finding]) -> str:
    lines = []
    for each in findings:
        lines.append(f"{each.severity}: {told(each)}")
        lines += [f"  fix: {escaped(each.fix)}"] if each.fix else []
    return "\n".join(lines)


def _looked_at_nothing(checked: Checked, index: int, demand: Demand) -> bool:
    return checked.covered[index : index + 1] == (0,) and of_weights(demand)


def _count(element: ET.Element) -> None:
    element.set("tests", str(len(list(element.iter("testcase")))))
    for name, tag in _COUNTS.items():
        element.set(name, str(len(list(element.iter(tag)))))
