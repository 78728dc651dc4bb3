"""A policy: what a file says, what holds where it says nothing, and where it is looked for."""

from datetime import date

import pytest
from policy_rules import use

from normcli.errors import UsageError
from normcli.gate.policy import built_in, find_policy, load_policy, with_drift
from normcli.records import Demand, Ignore, Policy


@pytest.fixture(autouse=True)
def own_rules(monkeypatch):
    use(monkeypatch)


@pytest.fixture
def policy_of(tmp_path):
    def load(text, name="normcli.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return load_policy(path)

    return load


def test_the_built_in_policy_demands_every_rule_that_says_so_with_its_defaults():
    assert built_in() == Policy(
        (
            Demand("finite"),
            Demand("zero-rows", "warning"),
            Demand("stale-state", parameters={"tolerance": 0.05}),
        )
    )


def test_a_file_says_all_that_a_policy_has(policy_of, tmp_path):
    text = """\
schema = 1
fail-on = "warning"

[[demand]]
rule = "spectral-limit"
weights = ["D/*", "G/up.*"]
limit = 1.01
severity = "warning"
optional = true

[[demand]]
rule = "stale-state"
tolerance = 0.02

[[ignore]]
rule = "zero-rows"
weights = ["*.embed.weight"]
reason = "padding rows are zero"
until = 2027-06-30

[[ignore]]
rule = "finite"
reason = "  known  "
"""
    assert policy_of(text) == Policy(
        (
            Demand(
                "spectral-limit",
                "warning",
                {"limit": 1.01},
                ("D/*", "G/up.*"),
                optional=True,
                place="normcli.toml, line 4",
            ),
            Demand("stale-state", "error", {"tolerance": 0.02}, place="normcli.toml, line 11"),
        ),
        (
            Ignore(
                "zero-rows",
                "padding rows are zero",
                ("*.embed.weight",),
                date(2027, 6, 30),
                "normcli.toml, line 15",
            ),
            Ignore("finite", "known", place="normcli.toml, line 21"),
        ),
        "warning",
        str(tmp_path / "normcli.toml"),
    )


def test_demands_of_a_file_stand_in_place_of_the_built_in_ones(policy_of):
    found = policy_of("schema = 1\n[[demand]]\nrule = 'zero-rows'\n")
    assert [each.rule for each in found.demands] == ["zero-rows"]
    assert found.demands[0].severity == "warning"


def test_a_file_without_demands_keeps_the_built_in_ones(policy_of):
    found = policy_of("schema = 1\nfail-on = 'never'\n[[ignore]]\nrule = 'finite'\nreason = 'x'\n")
    assert found.demands == built_in().demands
    assert (found.fail_on, found.ignores[0].rule) == ("never", "finite")


def test_a_pyproject_has_its_policy_in_our_table(policy_of):
    text = """\
[project]
name = "x"  # [[tool.normcli.demand]]

[tool.normcli]
schema = 1
jobs = 2

[[tool.normcli.demand]]
rule = "finite"
"""
    found = policy_of(text, "pyproject.toml")
    assert found.demands == (Demand("finite", place="pyproject.toml, line 8"),)


def test_a_demand_whose_line_is_not_sure_is_counted(policy_of):
    found = policy_of("schema = 1\ndemand = [{rule = 'finite'}, {rule = 'zero-rows'}]\n")
    places = [each.place for each in found.demands]
    assert places == ["normcli.toml, demand 1", "normcli.toml, demand 2"]


def test_an_integer_is_a_number_and_a_list_is_frozen(policy_of):
    text = "schema = 1\n[[demand]]\nrule = 'spectral-limit'\nlimit = 2\n"
    found = policy_of(f"{text}[[demand]]\nrule = 'shape'\nshape = [64, -1]\n")
    assert [dict(each.parameters) for each in found.demands] == [
        {"limit": 2.0},
        {"shape": (64, -1)},
    ]
    assert isinstance(found.demands[0].parameters["limit"], float)
    with pytest.raises(TypeError):
        found.demands[0].parameters["limit"] = 3


def test_one_rule_may_be_demanded_of_several_weights(policy_of):
    one = "[[demand]]\nrule = 'spectral-limit'\nlimit = 1\n"
    found = policy_of(f"schema = 1\n{one}weights = ['a']\n{one}weights = ['b']\n")
    assert [each.weights for each in found.demands] == [("a",), ("b",)]


@pytest.mark.parametrize("name", ["normcli.toml", "other.toml"])
def test_defaults_of_options_may_stand_beside_the_policy(policy_of, name):
    assert policy_of("schema = 1\njobs = 2\ninclude = ['D/*']\n[dim]\n'a' = 1\n", name).demands


def test_drift_is_demanded_once():
    twice = with_drift(with_drift(built_in()))
    assert twice.demands == (*built_in().demands, Demand("drift", parameters={"tolerance": 1e-3}))


def test_drift_of_the_policy_is_kept(policy_of):
    found = policy_of("schema = 1\n[[demand]]\nrule = 'drift'\ntolerance = 0.1\n")
    assert with_drift(found) == found


def test_a_policy_is_looked_for_up_to_the_root_of_the_repository(tmp_path):
    inner = tmp_path / "repository" / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "normcli.toml").write_text("schema = 1\n")
    (tmp_path / "repository" / ".git").mkdir()
    assert find_policy(inner) is None
    (tmp_path / "repository" / "pyproject.toml").write_text("[tool.normcli]\nschema = 1\n")
    assert find_policy(inner) == tmp_path / "repository" / "pyproject.toml"
    (inner.parent / "normcli.toml").write_text("[[demand]]\nrule = 'finite'\n")
    assert find_policy(inner) == inner.parent / "normcli.toml"


@pytest.mark.parametrize("text", ["", "jobs = 2\n", "[tool.normcli]\nschema = 1\n"])
def test_a_file_without_a_policy_is_passed_by(tmp_path, text):
    (tmp_path / ".git").mkdir()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "normcli.toml").write_text(text)
    (tmp_path / "normcli.toml").write_text("schema = 1\n")
    assert find_policy(tmp_path / "a") == tmp_path / "normcli.toml"


def test_a_file_on_the_way_that_is_not_toml_is_not_passed_by(tmp_path):
    (tmp_path / "normcli.toml").write_text("schema = = 1\n")
    with pytest.raises(UsageError, match=r"normcli\.toml: is not TOML: .*line 1"):
        find_policy(tmp_path)
