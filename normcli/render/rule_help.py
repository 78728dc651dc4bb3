"""What a rule is for, from its docstring: one sentence, why, and what can be done."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

from normcli.records import SEVERITIES
from normcli.render.escape import escaped
from normcli.rules import RULES

_SECTION = re.compile(r"^(Why|Fix):\s*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RuleHelp:
    """A rule in words.

    Attributes:
        summary: One sentence.
        text: All of it, as `normcli explain` prints it.
        why: What a broken one means, as running text; may be empty.
        fix: What can be done, likewise.
        severity: Of its findings where the policy does not say.
    """

    summary: str
    text: str
    why: str = ""
    fix: str = ""
    severity: str = SEVERITIES[0]


def rule_help(name: str) -> RuleHelp:
    """What is known of a rule; its name alone where it is of another version."""
    rule = RULES.get(name)
    if rule is None:
        return help_of(escaped(name))
    return help_of(inspect.getdoc(rule.find) or name, rule.severity)


def help_of(text: str, severity: str = SEVERITIES[0]) -> RuleHelp:
    """A docstring in its parts: the first line, `Why:` and `Fix:`."""
    summary, *sections = _SECTION.split(text)
    named = dict(zip(sections[::2], map(_joined, sections[1::2]), strict=True))
    first = _joined(summary.partition("\n\n")[0])
    return RuleHelp(first, text, named.get("Why", ""), named.get("Fix", ""), severity)


def _joined(lines: str) -> str:
    """The lines of a docstring as running text."""
    return " ".join(lines.split())
