"""Numbers for reading."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normcli.render import numbers


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.016, "1.016"),
        (0.99999, "1.000"),
        (99.996, "100.0"),
        (12345.6, "12346"),
        (0.0001, "0.0001000"),
        (1e-5, "1.000e-05"),
        (1234567.0, "1.235e+06"),
        (0.0, "0"),
        (-2.5, "-2.500"),
        (math.nan, "NaN"),
        (-math.inf, "-inf"),
    ],
)
def test_four_digits_tell_a_number(value, shown):
    assert numbers.brief(value) == shown


@given(st.floats(-1e300, 1e300))
def test_a_brief_number_is_within_half_a_digit(value):
    # Half a unit of the fourth digit is at most 5e-4 of the number.
    assert math.isclose(float(numbers.brief(value)), value, rel_tol=5.001e-4, abs_tol=5e-324)


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [
        (0.0012, "0.12 %"),
        (0.0, "0.00 %"),
        (1e-9, "<0.01 %"),
        (-0.004, "-0.40 %"),
        (1.0, "100.00 %"),
        (math.nan, "NaN"),
    ],
)
def test_percent(fraction, shown):
    assert numbers.percent(fraction) == shown


@pytest.mark.parametrize(
    ("nbytes", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1330, "1.33 kB"),
        (999_600, "1 MB"),
        (5 * 10**9, "5 GB"),
        (2 * 10**15, "2e+03 TB"),
    ],
)
def test_bytes_have_units(nbytes, shown):
    assert numbers.size(nbytes) == shown


@pytest.mark.parametrize(
    ("duration", "shown"), [(0.841, "0.84 s"), (12.34, "12.3 s"), (200.4, "3 min 20 s")]
)
def test_durations(duration, shown):
    assert numbers.seconds(duration) == shown


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [
        (1.002, "100 %"),
        (12.5, "1250 %"),
        (0.9949, "99 %"),
        (0.29, "29 %"),
        (0.0996, "10 %"),
        (0.01, "1.0 %"),
        (-3.1e-5, "-0.0031 %"),
        (2.1e-7, "2.1e-05 %"),
        (0.0, "0 %"),
        (math.nan, "NaN"),
        (-math.inf, "-inf"),
    ],
)
def test_a_deviation_keeps_two_digits_however_small(fraction, shown):
    assert numbers.deviation(fraction) == shown


def test_as_many_digits_as_asked_for():
    assert numbers.brief(1.0508469, 6) == "1.05085"
    assert numbers.brief(9.9999999, 6) == "10.0000"


@pytest.mark.parametrize(
    ("lowest", "highest", "shown"),
    [
        (-0.3125, 0.41875, "-0.31…0.42"),
        (0.99999, 1.00001, "1.0"),
        (0.0, 0.0, "0"),
        (-2e-9, 1234567.0, "-2.0e-09…1.2e+06"),
        (0.0001, 99.96, "0.00010…100"),
        (math.nan, math.nan, "NaN"),
        (-math.inf, 1.0, "-inf…1.0"),
    ],
)
def test_a_range_is_one_number_where_both_ends_read_the_same(lowest, highest, shown):
    assert numbers.span(lowest, highest) == shown


@pytest.mark.parametrize(
    ("target", "distance", "shown"),
    [
        (1, 2.38e-7, "1 ±2.4e-07"),
        (0, 0.0, "0 ±0"),
        (0, 3.21, "0 ±3.2"),
        (1, math.nan, "NaN"),
        (0, math.inf, "inf"),
    ],
)
def test_what_is_close_to_a_number_tells_how_close(target, distance, shown):
    assert numbers.near(target, distance) == shown
