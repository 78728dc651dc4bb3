"""A policy that demands one rule, as TOML."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from normcli.rules import explained
from normcli.rules.base import REQUIRED

if TYPE_CHECKING:
    from normcli.rules.base import Parameter, Rule

# Of parameters without a default: the first that the kind of the parameter takes.
_VALUES = (1.5, "plain", "bfloat16", [64, -1], ["bfloat16"])


def example(rule: Rule) -> str:
    """A whole file, with every parameter that TOML can write."""
    lines = ["schema = 1", "", "[[demand]]", f'rule = "{rule.name}"']
    if rule.scope != "checkpoint" or "`weights`" in explained(rule.name):
        lines.append('weights = ["*.weight"]')
    for name, parameter in rule.parameters.items():
        value = _value(parameter)
        if value is not None:
            lines.append(f"{name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _value(parameter: Parameter) -> object:
    if parameter.default is not REQUIRED:
        return parameter.default
    kind = TypeAdapter[Any](parameter.kind)
    return next((value for value in _VALUES if _takes(kind, value)), None)


def _takes(kind: TypeAdapter[Any], value: object) -> bool:
    try:
        kind.validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


def _toml(value: object) -> str:
    """Numbers, strings, booleans and lists: TOML has them as JSON does."""
    return json.dumps(value)
