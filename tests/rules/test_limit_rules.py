"""Limits: which end of a bracket counts, what is narrowed, what a finding says."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_records import (
    demand,
    empty,
    finding,
    findings,
    nan_weight,
    normed,
    open_brackets,
    sigma,
    spectral,
    unknown,
    weight,
    weight_norm,
)

from normcli.records import PowerIteration

WITH_LIMIT = (
    "spectral-limit",
    "spectral-floor",
    "frobenius-limit",
    "stable-rank-floor",
    "lipschitz-limit",
    "outlier",
)
sizes = st.floats(1e-3, 1e3)


@given(limit=sizes, ends=st.tuples(sizes, sizes).map(sorted))
def test_a_ceiling_passes_what_is_surely_below_it(limit, ends):
    lower, upper = ends
    found = findings(
        demand("spectral-limit", limit=limit), weight(spectral_norm=sigma(lower, lower, upper))
    )
    assert bool(found) == (upper > limit)


@given(limit=sizes, ends=st.tuples(sizes, sizes).map(sorted))
def test_a_floor_passes_what_is_surely_above_it(limit, ends):
    lower, upper = ends
    found = findings(
        demand("spectral-floor", limit=limit), weight(spectral_norm=sigma(upper, lower, upper))
    )
    assert bool(found) == (lower < limit)


@pytest.mark.parametrize("rule", ["spectral-limit", "spectral-floor"])
@given(limit=sizes, ends=st.tuples(sizes, sizes).map(sorted))
def test_only_brackets_that_a_narrower_one_could_decide_are_narrowed(rule, limit, ends):
    lower, upper = ends
    each = weight(spectral_norm=sigma(lower, lower, upper))
    asked = demand(rule, limit=limit)
    verdicts = {
        bool(findings(asked, weight(spectral_norm=sigma(end, end, end)))) for end in (lower, upper)
    }
    assert (len(verdicts) == 2) == bool(open_brackets(asked, each))


def test_what_a_finding_of_a_limit_holds():
    each = weight(spectral_norm=sigma(1.3, 1.2, 1.4))
    found = finding(demand("spectral-limit", limit=1.01), each)
    assert (found.value, found.lower, found.upper, found.limit) == (1.3, 1.2, 1.4, 1.01)
    assert (found.weight, found.message) == ("fc.weight", "σ₁ is 1.3, above the limit 1.01")


def test_a_bracket_that_holds_the_limit_is_said_to_straddle_it():
    each = weight(spectral_norm=sigma(1.01, 1.0099999, 1.0100001))
    message = finding(demand("spectral-limit", limit=1.01), each).message
    assert message == (
        "σ₁ is 1.01, but its bracket 1.0099999…1.0100001 straddles the limit 1.01 and could not be "
        "tightened"
    )


def test_a_value_and_its_limit_never_read_the_same():
    message = finding(
        demand("spectral-limit", limit=1.0), weight(spectral_norm=sigma(1 + 2**-40))
    ).message
    assert message == "σ₁ is 1.000000000001, above the limit 1"


@pytest.mark.parametrize("rule", WITH_LIMIT)
def test_nan_breaks_every_limit_and_is_named(rule):
    found = findings(demand(rule, limit=1e300 if "floor" not in rule else 1e-300), nan_weight())
    assert [each.weight for each in found] == ["bad.weight"]
    assert "NaN" in found[0].message


@pytest.mark.parametrize("rule", WITH_LIMIT)
def test_a_weight_without_an_effective_weight_breaks_every_limit(rule):
    found = finding(demand(rule, limit=1e300 if "floor" not in rule else 1e-300), unknown())
    assert found.message.startswith("no effective weight can be told: unknown parametrization")


@pytest.mark.parametrize("rule", WITH_LIMIT)
def test_a_weight_with_parts_of_a_norm_beside_it_breaks_every_limit(rule):
    doubtful = weight(problem="'fc.weight_u' beside 'fc.weight': expected the weight alone")
    asked = demand(rule, limit=1e300 if "floor" not in rule else 1e-300)
    assert "no effective weight" in finding(asked, doubtful).message
    assert not open_brackets(asked, doubtful)


def test_the_stable_rank_is_taken_from_the_upper_end_of_sigma():
    each = weight(frobenius=2.0, spectral_norm=sigma(1.0, 0.5, 2.0))
    found = finding(demand("stable-rank-floor", limit=3.0), each)
    assert (found.lower, found.value, found.upper) == (1.0, 4.0, 16.0)
    assert open_brackets(demand("stable-rank-floor", limit=3.0), each) == {"fc.weight"}
    assert not open_brackets(demand("stable-rank-floor", limit=17.0), each)


def test_a_matrix_of_rank_one_has_a_stable_rank_of_one_whatever_the_bracket():
    each = weight(frobenius=1.0, spectral_norm=sigma(1.0, 1 - 1e-7, 1 + 1e-7))
    assert not findings(demand("stable-rank-floor", limit=1.0), each)


def test_an_unbounded_stable_rank_divides_by_no_zero():
    each = weight(frobenius=1.0, spectral_norm=sigma(0.5, 0.0, 1.0))
    found = finding(demand("stable-rank-floor", limit=2.0), each)
    assert found.upper == math.inf


@given(
    factors=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=12),
    limit=st.floats(1e-6, 1e6),
)
def test_a_chain_is_held_to_the_exact_product(factors, limit):
    exact = math.prod(map(Fraction, factors))
    if abs(exact / Fraction(limit) - 1) < Fraction(1, 10**12):
        return
    chain = [weight(f"{i}.w", spectral_norm=sigma(s)) for i, s in enumerate(factors)]
    assert bool(findings(demand("lipschitz-limit", limit=limit), *chain)) == (exact > limit)


def test_a_chain_exactly_at_its_limit_passes():
    chain = [weight(f"{i}.w", spectral_norm=sigma(s)) for i, s in enumerate((2.0, 3.0, 7.0))]
    assert not findings(demand("lipschitz-limit", limit=42.0), *chain)
    assert findings(demand("lipschitz-limit", limit=math.nextafter(42.0, 0)), *chain)


def test_a_chain_longer_than_any_float_is_no_overflow():
    chain = [weight(f"{i}.w", spectral_norm=sigma(1e30)) for i in range(20)]
    found = finding(demand("lipschitz-limit", limit=1e6), *chain)
    assert found.weight == ""
    assert "10^600.0" in found.message
    assert "upper bound" in found.message
    assert "plain chain" in found.message


def test_a_chain_of_tiny_factors_does_not_vanish():
    chain = [weight(f"{i}.w", spectral_norm=sigma(1e-200)) for i in range(3)]
    chain += [weight(f"{i}.v", spectral_norm=sigma(1e200)) for i in range(4)]
    assert findings(demand("lipschitz-limit", limit=1e6), *chain)


def test_a_zero_weight_cuts_a_chain():
    chain = [weight("a", spectral_norm=sigma(1e9)), weight("b", spectral_norm=sigma(0.0))]
    assert not findings(demand("lipschitz-limit", limit=1e-9), *chain)


def test_all_weights_of_a_chain_are_narrowed_together():
    chain = [weight(f"{i}.w", spectral_norm=sigma(1.0, 0.9, 1.1)) for i in range(3)]
    assert open_brackets(demand("lipschitz-limit", limit=1.0), *chain) == {"0.w", "1.w", "2.w"}
    assert not open_brackets(demand("lipschitz-limit", limit=1.4), *chain)
    assert not open_brackets(demand("lipschitz-limit", limit=1.0), *chain, nan_weight())
    message = finding(demand("lipschitz-limit", limit=1.0), *chain).message
    assert "straddles" in message


def test_an_empty_weight_has_a_norm_of_zero():
    assert not findings(demand("spectral-limit", limit=0.0), empty())
    assert not findings(demand("frobenius-limit", limit=0.0), empty())
    assert findings(demand("spectral-floor", limit=0.1), empty())


@pytest.mark.parametrize(
    ("state", "fix"),
    [
        (None, "normcli apply PATH --spectral --layout plain --clip 0.5 --include fc.weight"),
        (spectral(), "normcli refresh PATH --include fc.weight"),
        (weight_norm(), "normcli remove PATH, then normcli apply PATH"),
    ],
    ids=["plain", "spectral", "weight"],
)
def test_the_fix_fits_the_norm_of_the_weight(state, fix):
    each = weight() if state is None else normed(state)
    assert finding(demand("spectral-limit", limit=0.5), each).fix.startswith(fix)


@pytest.mark.parametrize("key", ["a\nb", "x" * 300, "\x1b[31m"])
def test_a_command_does_not_repeat_a_name_that_cannot_be_typed(key):
    assert "--include" not in finding(demand("spectral-limit", limit=0.5), weight(key)).fix


def test_a_name_in_a_command_is_one_word_of_the_shell():
    fix = finding(demand("spectral-limit", limit=0.5), weight("a'; rm -rf ~; '")).fix
    assert fix.endswith("""--include 'a'"'"'; rm -rf ~; '"'"''""")


def test_the_power_iteration_is_no_measure_of_sigma():
    each = weight(spectral_norm=None, power_iteration=PowerIteration(1.0, 15, "random"))
    assert "not known" in finding(demand("spectral-limit", limit=2.0), each).message
