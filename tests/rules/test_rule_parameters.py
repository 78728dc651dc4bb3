"""What a policy can say to a rule, and what is refused."""

import pytest
from pydantic import TypeAdapter, ValidationError

from normcli.records import MEASURABLE
from normcli.rules import RULES
from normcli.rules.base import REQUIRED

NUMBERS = [
    (name, key)
    for name, rule in RULES.items()
    for key in rule.parameters
    if key in ("limit", "tolerance", "factor")
]


def validated(rule, key, value):
    return TypeAdapter(RULES[rule].parameters[key].kind).validate_python(value)


@pytest.mark.parametrize(("rule", "key"), NUMBERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, True, "1", [1.0], 10**400])
def test_a_number_that_means_nothing_is_refused(rule, key, value):
    with pytest.raises(ValidationError):
        validated(rule, key, value)


@pytest.mark.parametrize(("rule", "key"), NUMBERS)
@pytest.mark.parametrize("value", [2, 1.5])
def test_a_positive_number_is_taken(rule, key, value):
    assert validated(rule, key, value) == value


def test_a_factor_of_growth_is_above_one():
    with pytest.raises(ValidationError):
        validated("growth", "factor", 1.0)


@pytest.mark.parametrize("rule", ["spectral-floor", "stable-rank-floor", "lipschitz-limit"])
def test_a_limit_that_nothing_could_break_or_keep_is_refused(rule):
    with pytest.raises(ValidationError):
        validated(rule, "limit", 0.0)


@pytest.mark.parametrize("value", ["float32", ["float16", "bfloat16"]])
@pytest.mark.parametrize("rule", ["dtype", "cast-overflow"])
def test_a_dtype_is_a_name_or_a_list(rule, value):
    assert validated(rule, "dtype", value) == value


@pytest.mark.parametrize("value", ["fp16", "int8", "torch.float16", "", [], ["fp8"], 16, None])
@pytest.mark.parametrize("rule", ["dtype", "cast-overflow"])
def test_a_dtype_is_a_floating_one_of_torch(rule, value):
    with pytest.raises(ValidationError):
        validated(rule, "dtype", value)


def test_every_dtype_that_is_measured_can_be_demanded():
    for name in MEASURABLE:
        assert validated("dtype", "dtype", name) == name


@pytest.mark.parametrize("value", [[8, -1], [], [0]])
def test_a_shape_is_a_list_of_sizes(value):
    assert validated("shape", "shape", value) == value


@pytest.mark.parametrize("value", [[-2], [True], ["8"], [1.0], 8, "8"])
def test_what_is_no_shape_is_refused(value):
    with pytest.raises(ValidationError):
        validated("shape", "shape", value)


@pytest.mark.parametrize("value", ["plain", "legacy", "parametrized"])
def test_a_layout_is_one_of_three(value):
    assert validated("layout", "layout", value) == value
    with pytest.raises(ValidationError):
        validated("layout", "layout", value + "x")


@pytest.mark.parametrize("name", RULES)
def test_a_parameter_says_what_it_means_and_its_default_is_valid(name):
    for key, parameter in RULES[name].parameters.items():
        assert parameter.meaning
        if parameter.default is not REQUIRED:
            assert validated(name, key, parameter.default) == parameter.default


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.built_in])
def test_a_built_in_rule_has_a_default_for_everything(name):
    assert all(each.default is not REQUIRED for each in RULES[name].parameters.values())
