"""Verdicts written as text, with rules that do not change when those of the package do."""

import io

from gate_records import RULES

from normcli.render import Page
from normcli.render.gate import GATE_FORMATS, GateDocument


def fix_rules(monkeypatch):
    """Put the rules of the records in place of those of the package."""
    for module in ("gate_document", "rule_help"):
        monkeypatch.setattr(f"normcli.render.{module}.RULES", RULES)


def written(verdict, name, *, seconds=None, root="", **page):
    out = io.StringIO()
    GATE_FORMATS[name](GateDocument(verdict, "0.4.0", seconds, root), Page(out, **page))
    return out.getvalue()
