"""The JSON report of a gate: that of an inspection, with findings and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from normcli.render.json import compact, head, lined

if TYPE_CHECKING:
    from normcli.records import Checked, Policy, Unread
    from normcli.render.gate_document import GateDocument
    from normcli.render.page import Page

_SCHEMA = "normcli.report"
_LISTS = ("weights", "skipped", "files", "opaque", "demands", "findings")


def write_json(document: GateDocument, page: Page) -> None:
    """One JSON object, as `report.schema.json` beside this module describes it."""
    verdict = document.verdict
    whole = {
        "verdict": "pass" if verdict.passed else "fail",
        "policy": {"path": verdict.policy.path, "fail_on": verdict.policy.fail_on},
        "unread": [_unread(each) for each in verdict.unread],
    }
    page.write(f"{head(_SCHEMA, document.version)},\n ")
    for text in lined(whole, ("unread",)):
        page.write(text)
    page.write(',\n"checkpoints": [')
    for number, checked in enumerate(verdict.checked):
        page.write(",{" if number else "{")
        for text in lined(_checkpoint(checked, verdict.policy), _LISTS):
            page.write(text)
        page.write("}")
    page.write("]}\n")


def one_line_each(records: list[dict[str, Any]]) -> str:
    """An array of somebody else's schema, one entry a line."""
    return "[" + ",".join(f"\n  {compact(each)}" for each in records) + "\n]"


def _checkpoint(checked: Checked, policy: Policy) -> dict[str, Any]:
    pairs = zip(policy.demands, checked.covered, strict=False)
    demands = [
        {"rule": demand.rule, "weights": list(demand.weights), "looked_at": count}
        for demand, count in pairs
    ]
    return {**checked.to_dict(), "demands": demands}


def _unread(unread: Unread) -> dict[str, str]:
    record = {"path": unread.path, "message": unread.message}
    return {**record, "hint": unread.hint} if unread.hint else record
