"""The rules of the gate in words: a list of all, or all about one; as text and as JSON."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from normcli.render.ink import inked
from normcli.render.json import compact, head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from normcli.records import ExplainedParameter, Explanation
    from normcli.render.page import Page

SCHEMA = "normcli.explanation"

_WIDEST = 100  # letters of a line that is read
_MARGIN = "  "
_STYLES = {"error": "bold red", "warning": "yellow"}
_SCOPES = {
    "tensors": "every floating tensor, vectors and scalars among them",
    "weights": "weights of two axes or more",
    "states": "weights under a norm",
    "checkpoint": "the checkpoint as a whole",
}


@dataclass(frozen=True, slots=True)
class ExplanationDocument:
    """What a format needs.

    Attributes:
        rules: In the order of the registry.
        version: Of normcli.
        listed: Whether all rules were asked for, a line each; of the text only.
    """

    rules: tuple[Explanation, ...]
    version: str
    listed: bool = False


def write_text(document: ExplanationDocument, page: Page) -> None:
    """For reading; the same letters with and without colour."""
    if document.listed:
        lines = _list(document.rules, page)
    else:
        lines = (line for rule in document.rules for line in _whole(rule, page))
    page.write("".join(f"{line}\n" for line in lines))


def write_json(document: ExplanationDocument, page: Page) -> None:
    """One JSON object, a rule a line, as `explanation.schema.json` beside this module has it."""
    rules = ",\n  ".join(compact(rule.to_dict()) for rule in document.rules)
    page.write(f'{head(SCHEMA, document.version)},\n "rules": [\n  {rules}]}}\n')


EXPLANATION_FORMATS: Mapping[str, Callable[[ExplanationDocument, Page], None]] = MappingProxyType(
    {"text": write_text, "json": write_json}
)


def _list(rules: Iterable[Explanation], page: Page) -> Iterator[str]:
    """Those of the built-in policy first."""
    rules = tuple(rules)
    name = max((len(rule.name) for rule in rules), default=0) + 2
    severity = max((len(rule.severity) for rule in rules), default=0) + 2
    for heading, built_in in (("In the built-in policy", True), ("On demand", False)):
        yield inked(heading, "bold", page)
        for rule in rules:
            if rule.built_in == built_in:
                style = _STYLES.get(rule.severity, "")
                start = _MARGIN + rule.name.ljust(name)
                label = inked(rule.severity, style, page) + " " * (severity - len(rule.severity))
                first, *more = _wrapped(
                    _first(rule.summary), page, len(start) + severity, page.width
                )
                yield f"{start}{label}{first}"
                yield from (" " * (len(start) + severity) + line for line in more)
        yield ""
    yield "normcli explain RULE tells all about one"


def _whole(rule: Explanation, page: Page) -> Iterator[str]:
    """A rule: what it finds, what it looks at, what can be said to it, why, what to do."""
    severity = inked(rule.severity, _STYLES.get(rule.severity, ""), page)
    policy = "in the built-in policy" if rule.built_in else "on demand"
    yield f"{inked(rule.name, 'bold', page)}: {severity}, {policy}"
    yield ""
    yield from _paragraphs(rule.summary, page, "")
    yield ""
    yield from _facts(_seen(rule), page)
    if rule.parameters:
        yield from _section("Parameters", page)
        yield from _facts({each.name: _parameter(each) for each in rule.parameters}, page, _MARGIN)
    for heading, text in (("Why", rule.why), ("Fix", rule.fix)):
        if text:
            yield from _section(heading, page)
            yield from _paragraphs(text, page, _MARGIN)
    yield from _section("Example", page)
    yield from (f"{_MARGIN}{line}".rstrip() for line in rule.example.splitlines())


def _section(heading: str, page: Page) -> Iterator[str]:
    yield ""
    yield inked(heading, "bold", page)


def _seen(rule: Explanation) -> dict[str, str]:
    facts = {
        "looks at": _SCOPES.get(rule.scope, rule.scope),
        "takes": _cost(rule),
    }
    return {**facts, "compares": "with a baseline"} if rule.compares else facts


def _cost(rule: Explanation) -> str:
    """What has to be read and computed for it."""
    if not {"spectral_norm", "state"}.isdisjoint(rule.metrics):
        return "the spectral norm σ₁ of each"
    return "one pass over the values" if rule.metrics else "the header alone"


def _parameter(parameter: ExplainedParameter) -> str:
    if parameter.required:
        return f"{parameter.meaning} (required)"
    if parameter.default is None:
        return parameter.meaning
    return f"{parameter.meaning} (default {compact(parameter.default)})"


def _facts(facts: Mapping[str, str], page: Page, margin: str = "") -> Iterator[str]:
    """A word and what it is, in two columns."""
    width = len(margin) + max(map(len, facts)) + 2
    for name, text in facts.items():
        first, *more = _wrapped(text, page, width)
        yield f"{margin}{name}".ljust(width) + first
        yield from (" " * width + line for line in more)


def _paragraphs(text: str, page: Page, margin: str) -> Iterator[str]:
    """Paragraphs as wide as the page; one that has lines of its own stays as it is."""
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ""
        if "\n" in paragraph:
            yield from (margin + page.spelled(line) for line in paragraph.splitlines())
        else:
            yield from (margin + line for line in _wrapped(paragraph, page, len(margin)))


def _wrapped(text: str, page: Page, indent: int, widest: int = _WIDEST) -> list[str]:
    width = max(min(page.width, widest) - indent, 20)
    lines = textwrap.wrap(page.spelled(text), width, break_long_words=False, break_on_hyphens=False)
    return lines or [""]


def _first(summary: str) -> str:
    return summary.partition("\n\n")[0]
