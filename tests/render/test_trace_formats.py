"""A trace as text: which steps are shown, what is said, and how the error is drawn."""

import csv
import io
import math
import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from render_records import FALLING, LONG, NOT_FINITE, SPECTRAL, STACK, WEIGHT_NORM, trace, traced

from normcli.records import SpectralNorm
from normcli.render import Page
from normcli.render.layout import cells_of
from normcli.render.sparkline import BLOCKS, sparkline
from normcli.render.trace import reading_rows, subject, summary
from normcli.render.trace_formats import TRACE_FORMATS


def written(found, name, **page):
    out = io.StringIO()
    TRACE_FORMATS[name](trace(found), Page(out, **page))
    return out.getvalue()


def test_few_steps_are_all_shown():
    assert [row["n"] for row in reading_rows(FALLING)] == list(range(10))
    assert "lines shown" not in written(FALLING, "table")


def test_of_many_steps_the_first_the_last_and_fewer_and_fewer_between():
    assert [row["n"] for row in reading_rows(LONG)] == [*range(11), 20, 50, 100, 200, 300]
    assert "16 of 301 lines shown" in written(LONG, "table")
    assert "16 of 301 lines shown" in written(LONG, "markdown")


def test_an_iteration_that_ends_on_a_round_number_shows_it_once():
    found = replace(LONG, steps=LONG.steps[:101])
    assert [row["n"] for row in reading_rows(found)] == [*range(11), 20, 50, 100]


@pytest.mark.parametrize("name", ["plain", "csv", "jsonl"])
def test_programs_get_every_step(name):
    header = 0 if name == "jsonl" else 1
    assert len(written(LONG, name).splitlines()) == 301 + header


def test_csv_holds_every_digit_and_the_norm_beside_it():
    rows = list(csv.DictReader(io.StringIO(written(FALLING, "csv"))))
    assert list(rows[0]) == ["path", "name", "n", "value", "relative_error", "spectral_norm"]
    assert [float(row["value"]) for row in rows] == [each.value for each in FALLING.steps]
    assert {float(row["spectral_norm"]) for row in rows} == {2.0}


def test_plain_spells_what_is_no_number():
    assert written(NOT_FINITE, "plain") == "n\tvalue\trelative_error\n0\tnan\t-\n1\tinf\t-\n"


@pytest.mark.parametrize(
    ("state", "start", "said"),
    [
        (SPECTRAL.state, "stored", "the original, 64×288, under spectral norm (legacy)"),
        (
            WEIGHT_NORM.state,
            "random",
            "the effective weight, 64×288, under weight norm (parametrized)",
        ),
        (
            STACK.state,
            "stored",
            "the original, 64×288, under weight norm and spectral norm (parametrized)",
        ),
        (None, "random", "the weight, 64×288"),
    ],
)
def test_the_title_says_what_is_iterated_with(state, start, said):
    found = replace(FALLING, state=state, start=start)
    assert subject(found) == said
    assert said in written(found, "table")
    assert said.replace("_", "\\_") in written(found, "markdown")


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((0, 1), "1 % without a step · 0.1 % after 1 step"),
        ((9, 10), "1 % after 9 steps · 0.1 % after about 10 steps (predicted)"),
        ((1234, None), "1 % after about 1,234 steps (predicted) · no prediction for 0.1 %"),
    ],
)
def test_what_was_counted_is_told_from_what_is_predicted(counts, said):
    found = replace(FALLING, predicted=dict(zip(("0.01", "0.001"), counts, strict=True)))
    assert summary(found)[-1] == f"from the stored u and v: {said}"


def test_without_a_norm_nothing_is_said_of_steps():
    assert summary(NOT_FINITE) == ["exact σ₁ NaN · non-finite"]


@given(st.integers(40, 200))
def test_no_line_is_wider_than_the_terminal(width):
    for found in (FALLING, LONG):
        assert max(map(cells_of, written(found, "table", width=width).splitlines())) <= width


@pytest.mark.parametrize("name", TRACE_FORMATS)
def test_no_format_lets_a_hostile_name_through(name):
    allowed = {"\n", "\t"} if name == "plain" else {"\n"}
    letters = set(written(NOT_FINITE, name)) - allowed
    assert not [each for each in letters if unicodedata.category(each) in ("Cc", "Cf", "Cs")]


def test_an_ascii_table_is_ascii_and_still_draws_the_error():
    text = written(FALLING, "table", unicode=False)
    assert text.isascii()
    assert " #*" in text


def test_color_changes_no_letter():
    colored = written(FALLING, "table", color=True)
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) == written(FALLING, "table")


@pytest.mark.parametrize("values", [[1.5], [0.0, 0.0]])
def test_one_value_or_no_norm_draws_nothing(values):
    norm = SpectralNorm(0.0, 0.0, 0.0, 0.0, "zero", 1) if len(values) > 1 else FALLING.spectral_norm
    text = written(traced(values, norm), "table")
    assert not set(text) & set(BLOCKS)


def test_a_geometric_fall_is_a_straight_line_of_blocks():
    assert sparkline([10.0**-n for n in range(8)], 80) == BLOCKS[::-1]


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([0.5], "▁"),
        ([0.5, 0.5], "▁▁"),
        ([1.0, 0.0, 0.1], "█▁▁"),
        ([1.0, -1e-3], "█▁"),
        ([math.inf, 1.0, math.nan, 0.1], " █ ▁"),
        ([0.0, 0.0], "▁▁"),
    ],
)
def test_values_without_a_logarithm_have_a_place(values, drawn):
    assert sparkline(values, 80) == drawn


@given(st.lists(st.floats(), max_size=200), st.integers(1, 80))
def test_a_line_of_blocks_is_as_long_as_it_may_be(values, width):
    assert len(sparkline(values, width)) == min(len(values), width)


def test_of_many_values_the_first_and_the_last_are_drawn():
    assert sparkline([1.0] + [0.01] * 998 + [1.0], 10) == "█" + "▁" * 8 + "█"
