"""Every rule in one table: what passes it and what breaks it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

import pytest
from rule_records import (
    contradicting,
    demand,
    empty,
    findings,
    nan_weight,
    normed,
    recorded,
    report,
    sigma,
    spectral,
    unknown,
    weight,
    weight_norm,
)

from normcli.records import (
    GATE_METRICS,
    METRIC_NAMES,
    Opaque,
    Overflow,
    Report,
    Skipped,
    StateValues,
)
from normcli.rules import RULES, explained


@dataclass(frozen=True)
class Row:
    """What passes a demand, and what breaks it; each is the weights of one checkpoint."""

    asked: Any
    passing: tuple[tuple, ...]
    failing: tuple[tuple, ...]
    baseline: Any = None
    further: dict[str, dict] = field(default_factory=dict)  # `passing`, `failing`: of the report


def family(last, members=8):
    sigmas = [*(1 + i / 100 for i in range(members)), last]
    return tuple(weight(f"l.{i}.w", spectral_norm=sigma(s)) for i, s in enumerate(sigmas))


def fitting(count):
    return (Overflow("float16", count, 70000.0 if count else 1.0, (3, 1) if count else None),)


TABLE = {
    "finite": Row(
        demand("finite"),
        ((weight(),), (weight(shape=(4,)),), (empty(),)),
        ((weight(nan=1),), (weight(inf=1),), (weight("b", shape=(4,), nan=2),), (unknown(),)),
    ),
    "nonzero": Row(
        demand("nonzero"),
        ((weight(),), (empty(),), (weight(parameters=1, constant=True),)),
        ((weight(frobenius=0.0),), (weight(constant=True),), (unknown(),)),
    ),
    "zero-rows": Row(
        demand("zero-rows"),
        ((weight(),), (empty(),)),
        ((weight(zero_rows=1),), (unknown(),)),
    ),
    "spectral-limit": Row(
        demand("spectral-limit", limit=1.0),
        ((weight(),), (weight(spectral_norm=sigma(0.5, 0.4, 1.0)),), (empty(),)),
        (
            (weight(spectral_norm=sigma(1.0, 0.9, 1.1)),),
            (weight(spectral_norm=sigma(2.0)),),
            (nan_weight(),),
            (unknown(),),
        ),
    ),
    "spectral-floor": Row(
        demand("spectral-floor", limit=1.0),
        ((weight(),), (weight(spectral_norm=sigma(2.0, 1.0, 3.0)),)),
        (
            (weight(spectral_norm=sigma(1.0, 0.9, 1.1)),),
            (weight(spectral_norm=sigma(0.5)),),
            (nan_weight(),),
            (unknown(),),
            (empty(),),
        ),
    ),
    "frobenius-limit": Row(
        demand("frobenius-limit", limit=2.0),
        ((weight(),), (empty(),)),
        ((weight(frobenius=2.1),), (nan_weight(),), (unknown(),), (weight(frobenius=None),)),
    ),
    "stable-rank-floor": Row(
        demand("stable-rank-floor", limit=4.0),
        ((weight(),), (weight(frobenius=3.0),)),
        (
            (weight(frobenius=1.9),),
            (weight(spectral_norm=sigma(1.0, 0.9, 1.1)),),
            (weight(frobenius=0.0, spectral_norm=sigma(0.0)),),
            (nan_weight(),),
            (unknown(),),
        ),
    ),
    "lipschitz-limit": Row(
        demand("lipschitz-limit", limit=6.0),
        ((weight("a", spectral_norm=sigma(2.0)), weight("b", spectral_norm=sigma(3.0))),),
        (
            (weight("a", spectral_norm=sigma(2.0)), weight("b", spectral_norm=sigma(3.1))),
            (weight("a"), nan_weight()),
            (weight("a"), unknown()),
        ),
    ),
    "stale-state": Row(
        demand("stale-state"),
        (
            (normed(spectral()),),
            (normed(spectral(staleness=0.05)),),
            (normed(spectral(staleness=-0.05)),),
            (normed(weight_norm()),),
            (weight(),),
            (unknown(),),
        ),
        (
            (normed(spectral(staleness=0.0501)),),
            (normed(spectral(staleness=-0.06)),),
            (normed(spectral(staleness=float("nan"))),),
            (normed(spectral(staleness=None, sigma_stored=0.0, original_spectral_norm=0.0)),),
            (normed(spectral(staleness=None, original_spectral_norm=None)),),
            (contradicting(),),
        ),
    ),
    "unit-vectors": Row(
        demand("unit-vectors"),
        (
            (normed(spectral()),),
            (normed(spectral(v_norm=None)),),
            (normed(spectral(u_norm=1.015), dtype="float16"),),
            (normed(weight_norm()),),
            (unknown(),),
        ),
        (
            (normed(spectral(u_norm=1.002)),),
            (normed(spectral(v_norm=0.9)),),
            (normed(spectral(u_norm=1.03), dtype="bfloat16"),),
            (normed(spectral(u_norm=float("nan"))),),
            (normed(spectral(u_norm=None)),),
            (contradicting(),),
        ),
    ),
    "degenerate-state": Row(
        demand("degenerate-state"),
        (
            (normed(spectral()),),
            (normed(weight_norm()),),
            (normed(StateValues("pruning", "legacy")),),
            (unknown(),),
        ),
        (
            (normed(spectral(sigma_stored=0.0)),),
            (normed(spectral(sigma_stored=-1.0)),),
            (normed(spectral(sigma_stored=float("inf"))),),
            (normed(spectral(u_norm=float("nan"))),),
            (normed(spectral(v_norm=float("inf"))),),
            (normed(weight_norm(), nan=4),),
            (normed(weight_norm(), notes=("v is zero in 1 of 8 rows: NaN",)),),
            (normed(weight_norm(g_max=float("inf"))),),
            (contradicting(),),
        ),
    ),
    "orphan-state": Row(
        demand("orphan-state"),
        ((weight(),), (normed(spectral()),), (unknown(),)),
        ((contradicting(),), (weight(problem="'fc.weight_u' beside 'fc.weight'"),)),
    ),
    "layout": Row(
        demand("layout", layout="legacy"),
        ((weight(),), (normed(spectral()),), (normed(StateValues("pruning", "parametrized")),)),
        (
            (normed(spectral(layout="parametrized")),),
            (normed(spectral(layout="legacy-v0")),),
            (unknown(),),
        ),
    ),
    "dtype": Row(
        demand("dtype", dtype="float32"),
        ((weight(),), (weight(shape=(4,)),)),
        ((weight(dtype="float16"),), (weight(shape=(4,), dtype="bfloat16"),)),
    ),
    "shape": Row(
        demand("shape", shape=(8, -1)),
        ((weight(),), (weight(shape=(8, 0)),)),
        ((weight(shape=(4, 8)),), (weight(shape=(8,)),), (weight(shape=(8, 4, 1)),)),
    ),
    "required": Row(
        demand("required", "fc.*"),
        ((weight(),), (weight(shape=(4,)),)),
        ((), (weight("conv.weight"),)),
    ),
    "cast-overflow": Row(
        demand("cast-overflow", dtype="float16"),
        ((weight(overflow=fitting(0)),), (weight(shape=(4,), overflow=fitting(0)),)),
        (
            (weight(overflow=fitting(2)),),
            (weight(overflow=()),),
            (weight(overflow=None),),
            (weight(overflow=fitting(0), nan=1),),
            (unknown(),),
        ),
    ),
    "outlier": Row(
        demand("outlier"),
        (family(1.1), family(99.0, members=3)),
        (family(99.0), family(0.0), (nan_weight(),), (unknown(),)),
    ),
    "foreign-objects": Row(
        demand("foreign-objects"),
        ((weight(),),),
        ((weight(),),),
        further={"failing": {"opaque": (Opaque("os.system", 1, "args"),)}},
    ),
    "growth": Row(
        demand("growth", factor=2.0),
        (
            (weight(),),
            (weight(spectral_norm=sigma(2.0), frobenius=4.0),),
            (weight(spectral_norm=sigma(1.9, 1.8, 2.0)),),
        ),
        (
            (weight(spectral_norm=sigma(2.1)),),
            (weight(spectral_norm=sigma(1.9, 1.8, 2.2)),),
            (weight(frobenius=4.1),),
            (weight("new.weight"),),
            (nan_weight("fc.weight"),),
            (unknown("fc.weight"),),
        ),
        baseline={"fc.weight": recorded()},
    ),
    "drift": Row(
        demand("drift"),
        ((weight(),), (weight(spectral_norm=sigma(1.0009)),)),
        (
            (weight(spectral_norm=sigma(1.002)),),
            (weight(frobenius=2.01),),
            (weight(stable_rank=4.1),),
            (weight(stable_rank=None),),
            (weight(shape=(4, 8)),),
            (weight(dtype="float64"),),
            (normed(spectral()),),
            (weight(), weight("new.weight")),
            (),
            (nan_weight("fc.weight"),),
            (unknown("fc.weight"),),
        ),
        baseline={"fc.weight": recorded()},
    ),
    "coverage": Row(
        demand("coverage"),
        ((weight(),),),
        ((weight(),), (unknown(),), ()),
        further={
            "passing": {
                "skipped": (
                    Skipped("optimizer/…", "optimizer state"),
                    Skipped("n", "int64: norms are of floating-point weights"),
                    Skipped("m", "bool: norms are of floating-point weights"),
                    Skipped("b", "vector or scalar (--all shows it)"),
                )
            },
            "failing": {"skipped": (Skipped("s", "sparse tensor"),)},
        },
    ),
}
CASES = [
    pytest.param(row, kind, weights, id=f"{name}-{kind}-{number}")
    for name, row in TABLE.items()
    for kind in ("passing", "failing")
    for number, weights in enumerate(getattr(row, kind))
]
METRICS = {*METRIC_NAMES, *GATE_METRICS}


def test_every_rule_is_in_the_table():
    assert TABLE.keys() == RULES.keys()


@pytest.mark.parametrize(("row", "kind", "weights"), CASES)
def test_a_rule_finds_what_breaks_it_and_nothing_else(row, kind, weights):
    found = findings(row.asked, *weights, baseline=row.baseline, **row.further.get(kind, {}))
    assert bool(found) is (kind == "failing"), found


@pytest.mark.parametrize("name", RULES)
def test_every_finding_says_what_was_found_and_what_to_do(name):
    row = TABLE[name]
    for weights in row.failing:
        further = row.further.get("failing", {})
        for found in findings(row.asked, *weights, baseline=row.baseline, **further):
            assert found.rule == name
            assert found.message
            assert "\n" not in found.message
            assert found.fix
            assert found.severity in {row.asked.severity, "error"}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_says_what_it_demands_why_and_what_can_be_done(name):
    first, *rest = explained(name).splitlines()
    assert first.endswith(".")
    assert rest.count("Why:") == 1
    assert rest.count("Fix:") == 1
    assert rest.index("Why:") < rest.index("Fix:")


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_called_as_the_table_of_rules_calls_it(name):
    rule = RULES[name]
    assert rule.name == name
    assert rule.find.__name__ == name.replace("-", "_")
    assert inspect.isgeneratorfunction(rule.find)
    assert rule.needs <= METRICS


def test_the_built_in_rules_need_nothing_from_the_user():
    built_in = {name for name, rule in RULES.items() if rule.built_in}
    assert built_in == {
        "finite",
        "nonzero",
        "stale-state",
        "unit-vectors",
        "degenerate-state",
        "orphan-state",
        "foreign-objects",
        "coverage",
    }


def test_the_warnings_are_those_of_the_specification():
    warnings = {name for name, rule in RULES.items() if rule.severity == "warning"}
    assert warnings == {"nonzero", "zero-rows", "stale-state", "outlier", "coverage"}


@pytest.mark.parametrize(
    "name", [name for name, rule in RULES.items() if rule.needs and not rule.compares]
)
def test_no_rule_on_numbers_passes_a_weight_that_has_none(name):
    """A state that contradicts itself, and one of which only the header was read."""
    row = TABLE[name]
    unread = normed(spectral(sigma_stored=None, u_norm=None, v_norm=None, staleness=None))
    numbers = dict.fromkeys(
        (*("frobenius", "nan", "inf", "zero_rows", "spectral_norm", "stable_rank"), *GATE_METRICS)
    )
    bare = weight(**numbers, state=unread.state)
    assert findings(row.asked, contradicting())
    assert findings(row.asked, bare)


@pytest.mark.parametrize("name", RULES)
def test_the_severity_of_a_finding_is_that_of_its_demand(name):
    row = TABLE[name]
    weights = row.failing[0]
    further = row.further.get("failing", {})
    for severity in ("error", "warning"):
        asked = demand(name, *row.asked.weights, severity=severity, **row.asked.parameters)
        found = findings(asked, *weights, baseline=row.baseline, **further)
        assert {each.severity for each in found} == {severity}


def test_a_report_of_nothing_is_no_pass_for_coverage():
    assert isinstance(report(), Report)
    (found,) = findings(demand("coverage", severity="warning"))
    assert found.severity == "error"
