"""Against a baseline: what differs, what could not be compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_records import (
    NAN,
    demand,
    finding,
    findings,
    normed,
    recorded,
    sigma,
    spectral,
    weight,
    weight_norm,
)

from normcli.gate.baseline import recorded as records_of
from normcli.records import Recorded, Report, StateValues


@pytest.mark.parametrize("rule", ["growth", "drift"])
@pytest.mark.parametrize(
    ("baseline", "fix"), [(None, "normcli baseline write"), ({}, "normcli baseline update")]
)
def test_without_a_baseline_nothing_passes(rule, baseline, fix):
    asked = demand(rule, factor=2.0) if rule == "growth" else demand(rule)
    found = finding(asked, weight(), baseline=baseline)
    assert (found.severity, found.weight) == ("error", "")
    assert found.fix.startswith(fix)


@given(st.floats(1e-30, 1e30), st.floats(1e-30, 1e30))
def test_the_rounding_of_a_baseline_is_no_drift(frobenius, value):
    each = weight(frobenius=frobenius, spectral_norm=sigma(value))
    known = {"fc.weight": recorded(frobenius=rounded(frobenius), spectral_norm=rounded(value))}
    assert not findings(demand("drift", tolerance=0.0), each, baseline=known)


def rounded(value):
    return float(f"{value:.6g}")


@pytest.mark.parametrize(("value", "broken"), [(1.00099, False), (0.99901, False), (1.0011, True)])
def test_a_drift_is_relative_to_what_was_recorded(value, broken):
    each = weight(spectral_norm=sigma(value))
    found = findings(demand("drift"), each, baseline={"fc.weight": recorded()})
    assert bool(found) is broken


def test_all_that_differs_is_one_finding():
    each = normed(spectral(), shape=(4, 8), dtype="float16", spectral_norm=sigma(1.5))
    found = finding(demand("drift"), each, baseline={"fc.weight": recorded()})
    assert found.message == (
        "shape is [4, 8], was [8, 4]; dtype is float16, was float32; is stored spectral legacy, "
        "was plain; σ₁ is 1.5, was 1"
    )


@pytest.mark.parametrize(
    "state",
    [
        None,
        spectral(),
        weight_norm(),
        StateValues("spectral", "legacy", stack=(weight_norm(layout="parametrized"), spectral())),
    ],
)
def test_what_a_baseline_has_recorded_does_not_drift(state):
    """The baseline of the gate and the rule spell a state alike."""
    each = weight(state=state)
    known = records_of(Report("m.pt", "torch-zip", (), (each,)))
    assert not findings(demand("drift"), each, baseline=known)
    assert not findings(demand("growth", factor=1.5), each, baseline=known)


def test_a_zero_matrix_has_no_stable_rank_to_drift():
    each = weight(frobenius=0.0, spectral_norm=sigma(0.0), stable_rank=None)
    known = recorded(frobenius=0.0, spectral_norm=0.0, stable_rank=None)
    assert not findings(demand("drift"), each, baseline={"fc.weight": known})
    assert findings(demand("drift"), weight(), baseline={"fc.weight": known})


def test_new_and_missing_weights_drift():
    new, gone = findings(demand("drift"), weight("b"), baseline={"a": recorded()})
    assert (new.weight, gone.weight) == ("b", "a")
    assert "not in the baseline" in new.message
    assert "missing" in gone.message


def test_only_the_weights_meant_can_be_missing():
    known = {"G/a": recorded(), "D/a": recorded()}
    here = weight("a", section="D")
    assert not findings(demand("drift", "D/*"), here, baseline=known)
    assert finding(demand("drift", "a"), here, baseline=known).weight == "G/a"


def test_a_weight_that_became_a_vector_drifts():
    found = findings(demand("drift"), weight(shape=(32,)), baseline={"fc.weight": recorded()})
    assert [each.message for each in found] == ["shape is [32], was [8, 4]"]


@pytest.mark.parametrize("value", [None, NAN])
@pytest.mark.parametrize("metric", ["frobenius", "spectral_norm"])
@pytest.mark.parametrize("rule", ["growth", "drift"])
def test_a_number_that_the_baseline_lacks_cannot_be_compared(rule, metric, value):
    asked = demand(rule, factor=2.0) if rule == "growth" else demand(rule)
    known = {"fc.weight": recorded(**{metric: value})}
    assert "could not be compared" in finding(asked, weight(), baseline=known).message


def test_a_growth_is_of_the_lower_end_and_says_how_much():
    each = weight(spectral_norm=sigma(2.5, 2.4, 2.6))
    found = finding(demand("growth", factor=2.0), each, baseline={"fc.weight": recorded()})
    assert found.message == "σ₁ is 2.5, 2.5 times 1, above a factor of 2"
    assert (found.value, found.lower, found.upper, found.limit) == (2.5, 2.4, 2.6, 2.0)


def test_a_growth_from_zero_is_beyond_every_factor():
    known = {"fc.weight": Recorded((8, 4), "float32", "", 0.0, 0.0, None)}
    found = findings(demand("growth", factor=1e9), weight(), baseline=known)
    assert len(found) == 2


def test_what_shrinks_does_not_grow():
    each = weight(spectral_norm=sigma(0.1), frobenius=0.2)
    assert not findings(demand("growth", factor=1.1), each, baseline={"fc.weight": recorded()})
