"""What a policy may say, as pydantic models made of `RULES`."""

from __future__ import annotations

from datetime import date
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, create_model
from pydantic_core import PydanticCustomError

from normcli.records import FAIL_ON, SEVERITIES
from normcli.rules import RULES
from normcli.rules.base import REQUIRED, Parameter, Rule

_CONFIG = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_GLOBS = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
_SENTENCE = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def _integer(value: object) -> object:
    """Let `true`, which equals 1, be no version."""
    if type(value) is not int:
        raise PydanticCustomError("literal_error", "Input should be 1")
    return value


_WEIGHTS = Parameter(_GLOBS, "globs on SECTION/KEY or KEY; default all weights", None)
_OWN = {
    "optional": Parameter(bool, "whether its globs may match nothing", False),
    "severity": Parameter(Literal[SEVERITIES], "of its findings"),
}


def policy_model() -> type[BaseModel]:
    """All that a file may say as policy; the defaults of options are not in it."""
    demand: Any = reduce(or_, map(demand_model, RULES.values()))
    demands = Annotated[list[Annotated[demand, Field(discriminator="rule_")]], Field(min_length=1)]
    return _model(
        "policy",
        {
            "schema": Parameter(
                Annotated[Literal[1], BeforeValidator(_integer)], "version of this format"
            ),
            "fail-on": Parameter(
                Literal[FAIL_ON], "least severity of a finding that fails the gate", "error"
            ),
            "demand": Parameter(demands, "what is demanded; default the built-in demands", None),
            "ignore": Parameter(list[ignore_model()], "findings that do not count", ()),  # type: ignore[misc] # made of RULES
        },
    )


def demand_model(rule: Rule) -> type[BaseModel]:
    """What a demand may say to a rule."""
    severity = Parameter(_OWN["severity"].kind, _OWN["severity"].meaning, rule.severity)
    named = {"rule": Parameter(Literal[rule.name], "what is checked"), "weights": _WEIGHTS}
    return _model(rule.name, {**named, **rule.parameters, **_OWN, "severity": severity})


def ignore_model() -> type[BaseModel]:
    """What may be said of findings that do not count."""
    return _model(
        "ignore",
        {
            "rule": Parameter(Literal[tuple(RULES)], "of the findings"),
            "weights": _WEIGHTS,
            "reason": Parameter(_SENTENCE, "why they do not count"),
            "until": Parameter(date, "last day on which they do not; default for good", None),
        },
    )


def said(model: BaseModel) -> dict[str, Any]:
    """Key → value, with the defaults."""
    fields = type(model).model_fields
    return {str(field.alias): getattr(model, name) for name, field in fields.items()}


def _model(title: str, keys: dict[str, Parameter]) -> type[BaseModel]:
    """A model with these keys; its attributes end with `_`, clear of pydantic's own names."""
    fields: dict[str, Any] = {
        f"{name.replace('-', '_')}_": (
            key.kind,
            Field(
                ... if key.default is REQUIRED else key.default, alias=name, description=key.meaning
            ),
        )
        for name, key in keys.items()
    }
    return create_model(title, __config__=_CONFIG, **fields)
