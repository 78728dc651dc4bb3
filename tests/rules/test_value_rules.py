"""Entries: what is counted, and who stands apart from the family."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_records import demand, finding, findings, nan_weight, sigma, weight

from normcli.records import Overflow
from normcli.rules.kinds import LARGEST
from normcli.rules.values import family


@pytest.mark.parametrize(
    ("nan", "inf", "message"),
    [
        (3, 0, "3 of 144 entries are NaN"),
        (3, 1, "3 of 144 entries are NaN, 1 infinite"),
        (0, 2, "2 of 144 entries are infinite"),
    ],
)
def test_how_many_entries_are_not_finite(nan, inf, message):
    found = finding(demand("finite"), weight(parameters=144, nan=nan, inf=inf))
    assert (found.message, found.value) == (message, nan + inf)


def test_a_vector_is_looked_at_by_finite_but_is_no_weight():
    bias = weight("fc.bias", shape=(8,), nan=1, frobenius=0.0, constant=True)
    assert findings(demand("finite"), bias)
    assert not findings(demand("nonzero"), bias)


def test_zero_is_said_before_constant():
    found = finding(demand("nonzero"), weight(frobenius=0.0, constant=True))
    assert found.message == "all 32 entries are zero"
    assert finding(demand("nonzero"), weight(constant=True)).message == (
        "all 32 entries are one value"
    )


def test_zero_rows_are_counted():
    found = finding(demand("zero-rows"), weight(zero_rows=3))
    assert (found.message, found.value) == ("3 of 8 rows are all zero", 3)


@pytest.mark.parametrize(
    ("count", "first", "message"),
    [
        (
            12,
            (3, 7),
            "12 values do not fit float16 (largest 70000, limit 65504), the first at [3, 7]",
        ),
        (
            1,
            (0, 0),
            "1 value does not fit float16 (largest 70000, limit 65504), the first at [0, 0]",
        ),
        (12, None, "12 values do not fit float16 (largest 70000, limit 65504)"),
    ],
)
def test_what_does_not_fit_a_cast(count, first, message):
    each = weight(overflow=(Overflow("float16", count, 70000.0, first),))
    found = finding(demand("cast-overflow", dtype="float16"), each)
    assert found.message == message
    assert (found.value, found.limit) == (70000.0, 65504.0)


def test_every_dtype_of_a_list_is_looked_at():
    each = weight(
        overflow=(Overflow("float16", 0, 600.0), Overflow("float8_e4m3fn", 1, 600.0, (0, 0)))
    )
    found = finding(demand("cast-overflow", dtype=("float16", "float8_e4m3fn")), each)
    assert "float8_e4m3fn (largest 600, limit 448)" in found.message
    missing = finding(demand("cast-overflow", dtype=["bfloat16"]), each)
    assert "whether it fits bfloat16 is not known" in missing.message


def test_the_limits_of_the_dtypes_are_those_of_torch():
    torch = pytest.importorskip("torch")
    for name, largest in LARGEST.items():
        assert torch.finfo(getattr(torch, name)).max == largest


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("layers.12.q_proj.weight", "layers.*.q_proj.weight"),
        ("0.weight", "*.weight"),
        ("G/blocks.3.7.weight", "G/blocks.*.*.weight"),
        ("models/[0]/conv.weight", "models/*/conv.weight"),
        ("conv1.weight", "conv1.weight"),
        ("layer2.weight_3", "layer2.weight_3"),
    ],
)
def test_a_family_differs_in_integer_components_only(name, shared):
    assert family(name) == shared


def layers(*sigmas):
    return [weight(f"layers.{i}.w", spectral_norm=sigma(s)) for i, s in enumerate(sigmas)]


def test_what_an_outlier_says():
    sigmas = (1.0, 1.1, 1.2, 1.3, 1.4, 100.0)
    found = finding(demand("outlier"), *layers(*sigmas))
    assert found.weight == "layers.5.w"
    assert "the median of 6 weights 'layers.*.w' 1.249" in found.message
    assert found.limit == 6.0
    assert found.value > 6


@given(st.lists(st.floats(-3, 3), min_size=5, max_size=12), st.floats(0.5, 10))
def test_an_outlier_is_what_the_robust_z_says(exponents, limit):
    sigmas = [2.0**exponent for exponent in exponents]
    logs = [exponent * 0.6931471805599453 for exponent in exponents]
    middle = statistics.median(logs)
    spread = statistics.median([abs(x - middle) for x in logs])
    if spread < 1e-6:
        return
    zs = [0.6745 * abs(x - middle) / spread for x in logs]
    if any(abs(z - limit) < 1e-6 for z in zs):
        return
    found = findings(demand("outlier", limit=limit), *layers(*sigmas))
    assert [each.weight for each in found] == [
        f"layers.{i}.w" for i, z in enumerate(zs) if z > limit
    ]


@pytest.mark.parametrize("sigmas", [(1.0, 1.1, 1.2, 99.0), (1.0, 1.0, 1.0, 1.0, 99.0)])
def test_few_or_equal_members_have_no_outliers(sigmas):
    assert not findings(demand("outlier"), *layers(*sigmas))


def test_a_zero_weight_stands_infinitely_far_from_its_family():
    found = finding(demand("outlier"), *layers(1.0, 1.1, 1.2, 1.3, 1.4, 0.0))
    assert found.value == float("inf")


def test_nan_in_one_member_does_not_hide_another():
    members = [*layers(1.0, 1.1, 1.2, 1.3, 1.4, 100.0), nan_weight("layers.9.w")]
    assert {each.weight for each in findings(demand("outlier"), *members)} == {
        "layers.5.w",
        "layers.9.w",
    }
