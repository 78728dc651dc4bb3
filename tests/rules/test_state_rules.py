"""Norm states: tolerances, stacks, half precision, empty weights."""

import math

import pytest
from rule_records import (
    NAN,
    contradicting,
    demand,
    finding,
    findings,
    normed,
    spectral,
    weight_norm,
)

from normcli.records import StateValues


def stack(*norms):
    """A state whose numbers are those of the last norm, as measured."""
    last = norms[-1]
    fields = {name: getattr(last, name) for name in ("sigma_stored", "u_norm", "v_norm")}
    return StateValues(last.family, last.layout, 0, stack=norms, **fields)


def test_what_a_stale_state_says():
    state = spectral(sigma_stored=0.8, original_spectral_norm=1.6, staleness=0.5)
    found = finding(demand("stale-state"), normed(state))
    assert found.message == (
        "stale u and v: stored σ is 0.8, σ₁ of the original 1.6, off by 0.5 of it, at most 0.05 "
        "allowed"
    )
    assert (found.value, found.limit) == (0.5, 0.05)
    assert found.fix == "normcli refresh PATH --include fc.weight"
    assert found.severity == "warning"


@pytest.mark.parametrize(("tolerance", "broken"), [(0.02, True), (0.03, False), (0.0, True)])
def test_the_tolerance_is_that_of_the_demand(tolerance, broken):
    each = normed(spectral(staleness=-0.03))
    assert bool(findings(demand("stale-state", tolerance=tolerance), each)) is broken


@pytest.mark.parametrize("rule", ["stale-state", "unit-vectors", "degenerate-state"])
def test_every_norm_of_a_stack_is_looked_at(rule):
    sick = spectral(staleness=0.9, u_norm=0.5, sigma_stored=-1.0)
    for norms, number in (((sick, spectral()), 1), ((spectral(), sick), 2)):
        found = finding(demand(rule), normed(stack(*norms)))
        assert f"of norm {number} of 2" in found.message


@pytest.mark.parametrize("rule", ["stale-state", "unit-vectors", "degenerate-state"])
def test_a_weight_norm_below_a_spectral_norm_has_no_u(rule):
    assert not findings(demand(rule), normed(stack(weight_norm(), spectral())))


@pytest.mark.parametrize("rule", ["stale-state", "unit-vectors", "degenerate-state"])
def test_an_empty_weight_has_no_sick_state(rule):
    state = spectral(sigma_stored=0.0, u_norm=0.0, v_norm=0.0, staleness=None)
    each = normed(state, shape=(0, 4), parameters=0)
    assert not findings(demand(rule), each)


@pytest.mark.parametrize(
    ("dtype", "length", "broken"),
    [
        ("float32", 1.0009, False),
        ("float32", 1.0011, True),
        ("float64", 0.9989, True),
        ("float16", 1.019, False),
        ("float16", 1.021, True),
        ("bfloat16", 0.981, False),
        ("bfloat16", 0.979, True),
        ("float8_e4m3fn", 0.99, False),
    ],
)
def test_half_precision_is_given_more_room(dtype, length, broken):
    each = normed(spectral(u_norm=length), dtype=dtype)
    assert bool(findings(demand("unit-vectors"), each)) is broken


def test_a_tolerance_that_is_said_counts_for_every_dtype():
    each = normed(spectral(u_norm=1.005), dtype="float16")
    assert findings(demand("unit-vectors", tolerance=1e-3), each)
    assert not findings(demand("unit-vectors", tolerance=0.01), each)


@pytest.mark.parametrize(
    ("u_norm", "v_norm", "lengths", "worst"),
    [
        (0.5, 1.0, "‖u‖ is 0.5", 0.5),
        (1.0, 1.25, "‖v‖ is 1.25", 1.25),
        (0.5, 0.25, "‖u‖ is 0.5 and ‖v‖ is 0.25", 0.25),
    ],
)
def test_u_and_v_are_one_finding(u_norm, v_norm, lengths, worst):
    found = finding(demand("unit-vectors"), normed(spectral(u_norm=u_norm, v_norm=v_norm)))
    assert found.message == f"{lengths}, expected 1 up to 0.001: averaged by an EMA or a merge?"
    assert (found.value, found.limit) == (worst, 1.0)


def test_a_length_that_is_nan_is_farthest_from_one():
    found = finding(demand("unit-vectors"), normed(spectral(u_norm=0.0, v_norm=NAN)))
    assert math.isnan(found.value)
    assert "‖v‖ is NaN" in found.message


def test_zero_rows_under_a_weight_norm_are_counted_by_the_note():
    note = "v is zero in 2 of 8 rows: weight norm divides by their norm, NaN"
    each = normed(weight_norm(), nan=8, notes=("8 of 32 entries are NaN", note))
    assert [found.message for found in findings(demand("degenerate-state"), each)] == [note]


def test_nan_under_a_weight_norm_is_degenerate_without_a_note():
    found = finding(demand("degenerate-state"), normed(weight_norm(), nan=4))
    assert found.message == "4 of 32 entries of g·v/‖v‖ are NaN"


@pytest.mark.parametrize("g_min", [NAN, float("-inf")])
def test_a_g_that_is_not_finite_is_degenerate(g_min):
    found = finding(demand("degenerate-state"), normed(weight_norm(g_min=g_min)))
    assert found.message == "g holds NaN or infinities"


def test_a_negative_g_is_a_direction_like_any_other():
    assert not findings(demand("degenerate-state"), normed(weight_norm(g_min=-1.0)))


def test_nan_in_a_plain_pruned_weight_is_no_fault_of_a_norm():
    each = normed(StateValues("pruning", "legacy"), nan=3)
    assert not findings(demand("degenerate-state"), each)


def test_an_orphan_says_what_stands_where():
    message = finding(demand("orphan-state"), contradicting()).message
    assert message == "stored in two layouts, legacy and parametrized, expected one"
