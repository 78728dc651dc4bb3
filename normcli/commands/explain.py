"""`explain`: what the rules of the gate are."""

from __future__ import annotations

from inspect import cleandoc

from normcli.errors import UsageError, closest
from normcli.gate.example import example
from normcli.records import ExplainedParameter, Explanation
from normcli.rules import RULES, explained
from normcli.rules.base import REQUIRED

_SECTIONS = ("Why:", "Fix:")


def explain(rule: str | None = None) -> tuple[Explanation, ...]:
    """One rule, or all of them in the order of the registry.

    Args:
        rule: As a policy spells it.

    Raises:
        UsageError: No rule is called so.
    """
    if rule is None:
        return tuple(map(_explanation, RULES))
    if rule not in RULES:
        raise UsageError(f"no rule is called {rule!r}", hint=closest(rule, RULES))
    return (_explanation(rule),)


def _explanation(name: str) -> Explanation:
    rule = RULES[name]
    summary, why, fix = _sections(explained(name))
    parameters = (
        ExplainedParameter(
            key,
            parameter.meaning,
            parameter.default is REQUIRED,
            None if parameter.default is REQUIRED else parameter.default,
        )
        for key, parameter in rule.parameters.items()
    )
    return Explanation(
        name,
        rule.severity,
        rule.built_in,
        rule.scope,
        rule.compares,
        tuple(sorted(rule.needs)),
        summary,
        why,
        fix,
        tuple(parameters),
        example(rule),
    )


def _sections(text: str) -> tuple[str, str, str]:
    """What comes first, then the text below `Why:` and that below `Fix:`."""
    found: dict[str, list[str]] = {"": [], **{heading: [] for heading in _SECTIONS}}
    at = ""
    for line in text.splitlines():
        begun = next((heading for heading in _SECTIONS if line.startswith(heading)), None)
        at = at if begun is None else begun
        found[at].append(line if begun is None else line.removeprefix(begun).strip())
    summary, why, fix = (_unwrapped(cleandoc("\n".join(lines))) for lines in found.values())
    return summary, why, fix


def _unwrapped(text: str) -> str:
    """Each paragraph on one line; one with a list or an indented line stays as it is."""
    paragraphs = (
        paragraph
        if any(line.startswith((" ", "- ")) for line in paragraph.splitlines())
        else " ".join(paragraph.split())
        for paragraph in text.strip().split("\n\n")
    )
    return "\n\n".join(paragraphs)
