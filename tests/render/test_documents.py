"""What a document shows: order, columns, problems, counts."""

import csv
import io
import math
import re
import subprocess
import sys
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from render_records import BROKEN, GAN, PLAIN, SHARDED, SPECTRAL, STALE, UNKNOWN, listing, report

from normcli.records import Report
from normcli.render import FORMATS, Page
from normcli.render.document import Order
from normcli.render.layout import cells_of
from normcli.render.listed import LISTING
from normcli.render.measured import REPORT, problems

CSV = (
    "path,name,shape,dtype,parameters,state_family,state_layout,state_dim,sigma_stored,u_norm,"
    "v_norm,staleness,original_spectral_norm,g_min,g_max,frobenius,nan,inf,zero_rows,"
    "spectral_norm,spectral_norm_lower,spectral_norm_upper,spectral_norm_method,power_iteration,"
    "power_iteration_iterations,power_iteration_start,power_iteration_relative_error,"
    "stable_rank,notes"
)


def written(document, name, **page):
    out = io.StringIO()
    FORMATS[name](document, Page(out, **page))
    return out.getvalue()


def names(document):
    return [row["name"] for sheet in document.sheets for row in sheet.rows]


def test_columns_of_csv_are_a_contract():
    assert ",".join(REPORT.flat) == CSV


@pytest.mark.parametrize("kind", [REPORT, LISTING])
def test_every_column_that_is_shown_exists(kind):
    assert {*kind.reading, *kind.flat} <= set(kind.columns)


@pytest.mark.parametrize("column", REPORT.columns)
def test_every_column_sorts_every_weight(column):
    every = report([GAN], Order(column, descending=True))
    assert sorted(names(every)) == sorted(weight.name for weight in GAN.measurements)


@pytest.mark.parametrize("descending", [False, True])
def test_no_value_comes_last_and_nan_is_the_largest(descending):
    ordered = names(report([GAN], Order("spectral_norm", descending=descending)))
    assert ordered[-1] == UNKNOWN.name
    assert ordered[0 if descending else -2] == BROKEN.name


def test_without_sort_the_order_is_that_of_the_checkpoint():
    assert names(report([GAN])) == [weight.name for weight in GAN.measurements]


def test_problems_are_said_worst_first():
    assert problems(BROKEN) == ["3 NaN", "1 Inf"]
    assert problems(STALE) == ["stale 20 %", "‖v‖ = 0.2500", "2 zero rows"]
    assert problems(SPECTRAL) == problems(PLAIN) == []


def test_a_stale_norm_in_a_stack_is_a_problem():
    stack = replace(SPECTRAL.state, staleness=None, stack=(STALE.state,))
    assert problems(replace(SPECTRAL, state=stack)) == ["stale 20 %", "‖v‖ = 0.2500"]


def test_a_nan_staleness_is_a_problem():
    assert problems(replace(SPECTRAL, state=replace(SPECTRAL.state, staleness=math.nan)))


def test_csv_holds_every_digit_and_one_row_a_weight():
    rows = list(csv.DictReader(io.StringIO(written(report([GAN, SHARDED]), "csv"))))
    assert len(rows) == len(GAN.measurements) + len(SHARDED.measurements)
    assert float(rows[0]["spectral_norm_upper"]) == SPECTRAL.spectral_norm.upper
    assert rows[2]["frobenius"] == "nan"
    assert rows[3]["state_dim"] == "none"
    assert rows[6]["state_family"] == ""


def test_plain_has_as_many_cells_in_every_line():
    widths = {line.count("\t") for line in written(report(), "plain").splitlines()}
    assert len(widths) == 1


def test_plain_names_the_checkpoint_only_where_there_are_several():
    assert written(report([GAN]), "plain").startswith("name\t")
    assert written(report(), "plain").startswith("path\tname\t")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("document", [report(), listing()], ids=["report", "listing"])
def test_no_format_lets_a_hostile_name_through(name, document):
    text = written(document, name)
    allowed = {"\n", "\t"} if name == "plain" else {"\n"}
    kinds = {letter: unicodedata.category(letter) for letter in set(text) - allowed}
    assert not [letter for letter, kind in kinds.items() if kind in ("Cc", "Cf", "Cs")]


def test_a_hostile_name_stays_in_its_cell_of_markdown():
    header, _, row = written(report([SHARDED]), "markdown").splitlines()[4:7]
    assert len(re.findall(r"(?<!\\)\|", row)) == len(re.findall(r"(?<!\\)\|", header))
    assert row.startswith("| ``evil[red]/a\\x1b[31m")


@given(st.integers(32, 220))
def test_numbers_are_never_cut(width):
    text = written(report([GAN]), "table", width=width)
    for shown in ("1.016", "1.250", "8.250", "1234", "2.250"):
        assert f" {shown}" in text


@given(st.integers(60, 220))
def test_no_line_is_wider_than_the_terminal(width):
    text = written(report(), "table", width=width) + written(listing(), "table", width=width)
    assert max(map(cells_of, text.splitlines())) <= width


def test_the_essential_columns_stay_on_80_columns():
    header = written(report([GAN]), "table", width=80).splitlines()[2]
    assert header.split("  ")[0].strip() == "weight"
    for heading in ("shape", "state", "‖W‖_F", "σ₁", "power σ"):
        assert heading in header


def test_columns_asked_for_are_shown_whatever_the_width():
    text = written(report([GAN], chosen=REPORT.flat), "table", width=40)
    assert "original σ₁" in text


def test_columns_without_any_value_are_left_out_of_a_table():
    only = replace(PLAIN, spectral_norm=None, nan=None, inf=None, zero_rows=None)
    text = written(report([replace(GAN, measurements=(only,), notes=())]), "table")
    assert "σ₁" not in text
    assert "‖W‖_F" in text


def test_wide_letters_count_twice():
    wide = replace(PLAIN, key="重み" * 20)
    text = written(report([replace(GAN, measurements=(wide,))]), "table", width=60)
    assert max(map(cells_of, text.splitlines())) <= 60


def test_a_name_of_a_megabyte_does_not_flood_the_terminal():
    huge = replace(PLAIN, key="x" * 1_000_000, notes=("y" * 1_000_000,))
    assert len(written(report([replace(GAN, measurements=(huge,))]), "table", width=80)) < 5000


def test_an_ascii_table_is_ascii():
    plain = replace(SHARDED, measurements=(replace(PLAIN, notes=("σ₁ is ‖W‖",)),))
    assert written(report([GAN, plain]), "table", unicode=False).isascii()


def test_color_changes_no_letter():
    colored = written(report(), "table", color=True)
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) == written(report(), "table")


def test_only_the_first_remarks_are_printed_and_the_rest_counted():
    many = tuple(replace(PLAIN, key=f"{n}.weight", notes=("odd",)) for n in range(25))
    text = written(report([Report("many.pt", "torch-zip", (), many)]), "table")
    assert text.count(": odd") == 10
    assert "… 15 more (--format json shows all)" in text


def test_skipped_are_counted_by_reason_the_most_frequent_first():
    assert "3 skipped: 2 optimizer state · 1 not a floating-point tensor" in written(
        report([GAN]), "table"
    )


def test_tied_weights_name_the_first():
    tied = [row.get("tied_to") for row in listing().sheets[0].rows]
    assert tied == [None, None, None, None, "embed.weight"]


def test_render_needs_neither_torch_nor_rich_before_a_table_is_drawn():
    code = "import normcli.render, sys; print({'torch', 'numpy', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
