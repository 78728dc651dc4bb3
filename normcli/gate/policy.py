"""The policy: from a file, or the one that holds where there is none."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from normcli.errors import UsageError
from normcli.gate.configuration import (
    OPTION_KEYS,
    POLICY_KEYS,
    SHARED,
    TABLE,
    files,
    keys,
    load,
    parsed,
    read,
)
from normcli.records import Demand, Ignore, Policy
from normcli.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import BaseModel

    from normcli.gate.mistakes import Mistake
    from normcli.gate.places import Place

_MOST = 20  # mistakes that are said
_HINT = "'normcli explain' lists the rules, 'normcli explain RULE' what one can be given"


def built_in() -> Policy:
    """The policy that holds where there is none: every rule that needs no number of the user's."""
    return Policy(tuple(_default(name) for name, rule in RULES.items() if rule.built_in))


def with_drift(policy: Policy) -> Policy:
    """The policy, which demands that nothing drifts from the baseline, if only by default."""
    if any(demand.rule == "drift" for demand in policy.demands):
        return policy
    return replace(policy, demands=(*policy.demands, _default("drift")))


def find_policy(folder: Path) -> Path | None:
    """The nearest file with a policy, from a folder upwards to the root of its repository.

    A file with none but defaults of options is passed by.

    Raises:
        UsageError: A file on the way is not TOML: it may be the one that was meant.
    """
    for path in files(folder):
        if not set(POLICY_KEYS).isdisjoint(load(path)):
            return path
    return None


def load_policy(path: Path) -> Policy:
    """The policy of a file; without demands of its own it has the built-in ones.

    Raises:
        UsageError: The file cannot be read or has no policy; or it has mistakes, all of which are
            said, each with its line.
    """
    text = read(path)
    whole = keys(parsed(text, path), path)
    if set(POLICY_KEYS).isdisjoint(whole):
        hint = "a policy begins with schema = 1"
        raise UsageError("holds no policy", where=str(path), hint=hint)
    table = {name: value for name, value in whole.items() if name not in OPTION_KEYS}
    lines = _lines(text, path)
    return _policy(_validated(table, lines, path), lines, path)


def _validated(
    table: Mapping[str, Any], lines: Mapping[Place, int], path: Path
) -> Mapping[str, Any]:
    """The keys of a policy, checked."""
    from pydantic import ValidationError

    from normcli.gate.mistakes import mistakes, twins
    from normcli.gate.models import policy_model, said

    found: list[Mistake] = []
    try:
        model = policy_model().model_validate(table)
    except ValidationError as error:
        found += mistakes(error, table)
    wrong = {each.place[:2] for each in found}
    found += (each for each in twins(table) if each.place not in wrong)
    if found:
        raise _refusal(found, table, lines, path)
    return said(model)


def _refusal(
    found: list[Mistake], table: Mapping[str, Any], lines: Mapping[Place, int], path: Path
) -> UsageError:
    """Every mistake, in the order of the file, on a line of its own."""
    from normcli.gate.mistakes import called
    from normcli.gate.places import nearest

    placed = [(nearest(lines, each.place, min(2, len(each.place))), each) for each in found]
    placed.sort(key=lambda pair: (pair[0] is None, pair[0]))
    said = [
        f"{'' if line is None else f'line {line}: '}{called(each.place, table)}{each.sentence}"
        for line, each in placed
    ]
    if len(said) == 1:
        return UsageError(said[0], where=str(path), hint=_HINT)
    more = [f"and {len(said) - _MOST} more"] if len(said) > _MOST else []
    message = f"{len(said)} mistakes in the policy"
    return UsageError(message, where=str(path), hint=_HINT, details=[*said[:_MOST], *more])


def _policy(said: Mapping[str, Any], lines: Mapping[Place, int], path: Path) -> Policy:
    def place(name: str, number: int) -> str:
        line = lines.get((name, number))
        return f"{path.name}, {f'{name} {number + 1}' if line is None else f'line {line}'}"

    demands = said["demand"]
    return Policy(
        built_in().demands
        if demands is None
        else tuple(_demand(each, place("demand", n)) for n, each in enumerate(demands)),
        tuple(_ignore(each, place("ignore", n)) for n, each in enumerate(said["ignore"])),
        said["fail-on"],
        str(path),
    )


def _demand(model: BaseModel, place: str) -> Demand:
    from normcli.gate.models import said

    values = said(model)
    parameters = {name: _frozen(values[name]) for name in RULES[values["rule"]].parameters}
    return Demand(
        values["rule"],
        values["severity"],
        MappingProxyType(parameters),
        tuple(values["weights"] or ()),
        values["optional"],
        place,
    )


def _ignore(model: BaseModel, place: str) -> Ignore:
    from normcli.gate.models import said

    values = said(model)
    weights = tuple(values["weights"] or ())
    return Ignore(values["rule"], values["reason"], weights, values["until"], place)


def _default(name: str) -> Demand:
    """The demand that a rule is without a word of the user's."""
    rule = RULES[name]
    parameters = {key: parameter.default for key, parameter in rule.parameters.items()}
    return Demand(name, rule.severity, MappingProxyType(parameters))


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _lines(text: str, path: Path) -> dict[Place, int]:
    """Key of the policy → line, where that is sure."""
    from normcli.gate.places import places

    table = TABLE if path.name == SHARED else ()
    return {
        place[len(table) :]: line
        for place, line in places(text).items()
        if place[: len(table)] == table
    }
