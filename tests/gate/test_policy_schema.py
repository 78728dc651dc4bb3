"""The published JSON Schema of a policy: as the models have it, and true of real files.

`pytest tests/gate --write-golden` rewrites it.
"""

import json
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from normcli.gate import schema as rooms
from normcli.gate.configuration import OPTION_KEYS
from normcli.gate.example import example
from normcli.gate.policy import built_in, load_policy
from normcli.gate.schema import policy_schema
from normcli.rules import RULES
from normcli.rules.base import REQUIRED

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PUBLISHED = Path(rooms.__file__).with_name("policy.schema.json")
OWN_KEYS = {"rule", "weights", "optional", "severity"}


@pytest.fixture(scope="module")
def validator():
    published = json.loads(files("normcli.gate").joinpath("policy.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(published)
    return Draft202012Validator(published)


def test_the_published_schema_is_that_of_the_models(request):
    text = json.dumps(policy_schema(), indent=2, ensure_ascii=False) + "\n"
    if request.config.getoption("--write-golden"):
        PUBLISHED.write_text(text, encoding="utf-8")
    assert PUBLISHED.read_text(encoding="utf-8") == text


def test_every_rule_has_a_demand_of_its_own(validator):
    mapping = validator.schema["properties"]["demand"]["items"]["discriminator"]["mapping"]
    assert set(mapping) == set(RULES)


def test_the_defaults_of_options_may_stand_beside(validator):
    validator.validate({"schema": 1, **dict.fromkeys(OPTION_KEYS, 1)})


@pytest.mark.parametrize("name", RULES)
def test_the_example_of_every_rule_is_a_policy(name, tmp_path, validator):
    text = example(RULES[name])
    validator.validate(tomllib.loads(text))
    path = tmp_path / "normcli.toml"
    path.write_text(text, encoding="utf-8")
    (demand,) = load_policy(path).demands
    assert (demand.rule, demand.severity) == (name, RULES[name].severity)
    assert set(demand.parameters) == set(RULES[name].parameters)


@pytest.mark.parametrize("name", RULES)
def test_no_parameter_is_called_as_a_key_of_every_demand(name):
    assert not OWN_KEYS & set(RULES[name].parameters)


def test_the_built_in_policy_needs_no_number_of_the_users():
    assert built_in().demands
    for demand in built_in().demands:
        assert REQUIRED not in demand.parameters.values()
        assert not RULES[demand.rule].compares


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"schema": 2},
        {"schema": 1, "demands": []},
        {"schema": 1, "demand": []},
        {"schema": 1, "demand": [{"rule": "spectral-limt", "limit": 1}]},
        {"schema": 1, "demand": [{"rule": "spectral-limit"}]},
        {"schema": 1, "demand": [{"rule": "spectral-limit", "limit": -1}]},
        {"schema": 1, "demand": [{"rule": "finite", "weights": "D/*"}]},
        {"schema": 1, "demand": [{"rule": "finite", "severity": "info"}]},
        {"schema": 1, "ignore": [{"rule": "finite"}]},
        {"schema": 1, "fail-on": "info"},
    ],
)
def test_the_schema_refuses_what_the_gate_refuses(table, validator):
    assert not validator.is_valid(table)
