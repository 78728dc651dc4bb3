"""What pydantic finds wrong in a policy, in sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from normcli.errors import closest
from normcli.gate.configuration import OPTION_KEYS, POLICY_KEYS
from normcli.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from normcli.gate.places import Place

_IGNORE_KEYS = ("rule", "weights", "reason", "until")
_DEMAND_KEYS = ("rule", "weights", "optional", "severity")
_LONGEST = 60  # letters of a value
_MANY = 6  # names that are too many to be said for each other
_NAME = re.compile("'([^']*)'")
_PLAINER = {
    "string_too_short": "a string that is not empty",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "date_type": "a date such as 2027-06-30, without quotes",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "finite_number": "a finite number",
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something in a policy that cannot be meant.

    Attributes:
        place: Of the key, or of the table where a key is missing.
        sentence: What is wrong with it.
    """

    place: Place
    sentence: str


def mistakes(error: ValidationError, table: Mapping[str, Any]) -> Iterator[Mistake]:
    """Each of them once, in the order of the models."""
    grouped: dict[Place, list[tuple[Place, ErrorDetails]]] = {}
    for each in error.errors(include_url=False):
        place, rest = _split(each["loc"])
        grouped.setdefault(place, []).append((rest, each))
    for place, errors in grouped.items():
        if any(rest and isinstance(rest[0], str) for rest, _ in errors):
            yield Mistake(place, _of_choices(place, errors, table))
        else:
            yield from (_mistake(place, rest, each, table) for rest, each in errors)


def twins(table: Mapping[str, Any]) -> Iterator[Mistake]:
    """Demands and ignores that stand there twice."""
    for name in ("demand", "ignore"):
        entries = table.get(name)
        if not isinstance(entries, list):
            continue
        for number, entry in enumerate(entries):
            first = entries.index(entry)
            if first < number:
                yield Mistake((name, number), f"says the same as {name} {first + 1}")


def called(place: Place, table: Mapping[str, Any]) -> str:
    """What a place is in: `demand 2 (spectral-limit): `; empty for the file as a whole."""
    if len(place) < 2:
        return ""
    entry = table[str(place[0])][place[1]]
    rule = entry.get("rule") if isinstance(entry, dict) else None
    known = f" ({rule})" if isinstance(rule, str) and rule in RULES else ""
    return f"{place[0]} {int(place[1]) + 1}{known}: "


def _split(loc: tuple[int | str, ...]) -> tuple[Place, Place]:
    """The place of a key, and what is inside of its value; a union puts its tag after the index."""
    if loc[0] == "demand" and len(loc) > 2:
        loc = (*loc[:2], *loc[3:])
    length = 3 if len(loc) > 1 and isinstance(loc[1], int) else 1
    return loc[:length], loc[length:]


def _mistake(place: Place, rest: Place, error: ErrorDetails, table: Mapping[str, Any]) -> Mistake:
    name, kind = str(place[-1]), error["type"]
    if kind == "missing":
        return Mistake(place[:-1], f"{name!r} is missing")
    if kind == "union_tag_not_found":
        return Mistake(place, "'rule' is missing")
    if kind == "extra_forbidden":
        return Mistake(place, f"{name!r} is not known{_meant(name, _known(place, table))}")
    if kind == "union_tag_invalid" or (kind == "literal_error" and name == "rule"):
        rule = error["input"] if name == "rule" else error["input"]["rule"]
        return Mistake((*place[:2], "rule"), _no_rule(rule))
    if len(place) == 1 and kind == "list_type":
        return Mistake(place, f"{name!r} is {shown(error['input'])}, write [[{name}]]")
    value = error["input"]
    subject = "found" if len(place) == 2 else f"{name!r} {'holds' if rest else 'is'}"
    wanted = _near(value, error) or f"expected {_expected(error)}"
    return Mistake(place, f"{subject} {shown(value)}, {wanted}")


def _of_choices(
    place: Place, errors: Sequence[tuple[Place, ErrorDetails]], table: Mapping[str, Any]
) -> str:
    """Of a value that may be of several kinds, and is of none."""
    value = table[str(place[0])][place[1]][place[2]]
    near = next(filter(None, (_near(value, error) for _, error in errors)), "")
    kinds = dict.fromkeys(_expected(error) for rest, error in errors if len(rest) < 2)
    for each in dict.fromkeys(_expected(error) for rest, error in errors if len(rest) > 1):
        kinds["a list of them" if each in kinds else f"a list, each {each}"] = None
    wanted = near or f"expected {' or '.join(kinds)}"
    return f"{str(place[-1])!r} is {shown(value)}, {wanted}"


def _near(value: object, error: ErrorDetails) -> str:
    """What was meant by one of many names; empty where that is not clear."""
    names = _NAME.findall(error["msg"]) if error["type"] == "literal_error" else []
    if not isinstance(value, str) or len(names) < _MANY:
        return ""
    near = closest(value, names)
    return near if near.startswith("did") else ""


def _expected(error: ErrorDetails) -> str:
    if error["type"] == "too_short":
        least = error["ctx"]["min_length"]
        return f"at least {least} {'entry' if least == 1 else 'entries'}"
    message = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    plainer = message.replace("a valid integer", "an integer").replace("a valid ", "a ")
    return _PLAINER.get(error["type"], plainer)


def _known(place: Place, table: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys that could have been meant."""
    if len(place) == 1:
        return (*POLICY_KEYS, *OPTION_KEYS)
    if place[0] == "ignore":
        return _IGNORE_KEYS
    return (*_DEMAND_KEYS, *RULES[table["demand"][place[1]]["rule"]].parameters)


def _no_rule(name: object) -> str:
    if not isinstance(name, str):
        return f"'rule' is {shown(name)}, expected the name of a rule"
    near = closest(name, RULES)
    return f"no rule is called {shown(name)}" + (f", {near}" if near.startswith("did") else "")


def _meant(name: str, known: tuple[str, ...]) -> str:
    near = closest(name, known)
    return f"{',' if near.startswith('did') else ';'} {near}"


def shown(value: object) -> str:
    """A value as TOML has it, cut where it is long."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, date):
        text = value.isoformat()
    else:
        text = "a table" if isinstance(value, dict) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
