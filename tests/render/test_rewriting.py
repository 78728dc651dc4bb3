"""A rewriting as text: what a row holds, what is said of what was left, and how it fits."""

import csv
import io
import json
import math
import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from render_records import CONV, ref
from rewriting_records import (
    BROKEN,
    COPIED,
    HARD,
    INITIALIZED,
    LAYERS,
    LEGACY,
    MASK,
    PLAN,
    REMOVED,
    REWRITINGS,
    rewriting,
    step,
)

from normcli.records import Change, InputFile, Skipped, Spelling
from normcli.render import Page
from normcli.render.layout import cells_of
from normcli.render.rewriting import footer, heading, rows, said, ways
from normcli.render.rewriting_formats import REWRITING_FORMATS


def written(found, name, **page):
    out = io.StringIO()
    REWRITING_FORMATS[name](rewriting(found), Page(out, **page))
    return out.getvalue()


@pytest.mark.parametrize(
    ("weight", "spelled", "axis", "change", "shown"),
    [
        (CONV, (LEGACY, Spelling()), 0, None, "0"),
        (CONV, (LEGACY, Spelling()), "auto", None, "auto"),
        (CONV, (LEGACY, Spelling()), "auto", Change(axis=1), "1"),
        (CONV, (Spelling("weight", "legacy"), Spelling()), None, None, "none"),
        (CONV, (Spelling(), Spelling("weight+spectral", "parametrized")), None, None, "none"),
        (MASK, (Spelling("pruning", "legacy"), Spelling()), None, None, None),
        (ref("a.weight", (2, 2)), (Spelling(), Spelling()), None, None, None),
    ],
)
def test_the_dim_is_an_axis_none_for_the_whole_tensor_or_not_there(
    weight, spelled, axis, change, shown
):
    changes = {} if change is None else {weight.name: change}
    found = replace(REMOVED, steps=(step("remove", weight, spelled, axis, "W"),), changes=changes)
    assert [row["dim"] for row in rows(found)] == [shown]


def test_plain_text_has_every_column_of_the_table_and_every_digit():
    head, *lines = (line.split("\t") for line in written(REMOVED, "plain").splitlines())
    assert head == [
        "name", "shape", "before", "after", "dim", "change",
        "sigma_before", "sigma_after", "spectral_norm", "largest_change",
    ]  # fmt: skip
    assert lines[2][6:] == ["12345.678", "1.0", "12345.9", "0.0"]
    assert lines[1][6:] == ["-", "-", "-", "5.96e-08"]


def test_a_plan_has_the_columns_of_what_is_done():
    plan, done = (written(found, "plain").splitlines() for found in (PLAN, REMOVED))
    assert plan[0] == done[0]
    assert all(line.endswith("\t-\t-\t-\t-") for line in plan[1:])


def test_csv_names_both_files_and_both_layouts():
    first, *_ = csv.DictReader(io.StringIO(written(REMOVED, "csv")))
    assert (first["path"], first["output"]) == (REMOVED.path, REMOVED.output)
    assert (first["before_family"], first["before_layout"]) == ("spectral", "legacy")
    assert (first["after_family"], first["after_layout"]) == ("", "")
    assert first["notes"] == "u and v explain 80 % of σ₁"


@pytest.mark.parametrize("found", REWRITINGS.values(), ids=REWRITINGS)
def test_a_line_of_jsonl_is_a_weight_of_the_receipt(found):
    receipt = json.loads(written(found, "json"))
    lines = [json.loads(line) for line in written(found, "jsonl").splitlines()]
    ends = {"path": found.path, "output": found.output}
    assert lines == [{**ends, **weight} for weight in receipt["weights"]]


def test_the_receipt_has_the_hashes_and_what_was_asked_for():
    receipt = json.loads(written(REMOVED, "json"))
    assert receipt["input"]["sha256"] == "0f" * 32
    assert receipt["output"]["sha256"] == "ab" * 32
    assert receipt["options"] == dict(REMOVED.options)
    assert receipt["weights"][0]["old_keys"] == [
        "D/conv.weight_orig", "D/conv.weight_u", "D/conv.weight_v",
    ]  # fmt: skip
    assert len(receipt["left"]) == 13


def test_the_heading_tells_both_ends():
    assert heading(REMOVED) == ("gan.pt → gan.plain.pt", "remove · torch-zip · 1.33 MB")
    assert heading(PLAN)[1] == "apply · safetensors → sharded-safetensors · 271 kB"
    assert heading(HARD)[1].endswith(" · in place")


@pytest.mark.parametrize(
    ("path", "output", "shown"),
    [
        ("a/b/gan.pt", "a/b/gan.plain.pt", "a/b/gan.pt → gan.plain.pt"),
        ("a/b/gan.pt", "c/gan.pt", "a/b/gan.pt → c/gan.pt"),
        ("gan.pt", "/tmp/gan.pt", "gan.pt → /tmp/gan.pt"),
        ("shards", "shards.plain", "shards → shards.plain"),
        ("a/gan.pt", "a/", "a/gan.pt → a/"),
        ("a/shards/", "a/shards.plain", "a/shards/ → shards.plain"),
    ],
)
def test_an_output_beside_the_input_is_told_by_its_name_alone(path, output, shown):
    assert heading(replace(REMOVED, path=path, output=output))[0] == shown


def test_the_footer_tells_what_was_written_and_a_plan_what_would_be():
    assert footer(REMOVED) == "wrote gan.plain.pt · 1.31 MB · 4 weights changed, 13 left"
    assert footer(PLAN) == "would write model.weight · 2 weights to change"
    assert footer(HARD).endswith("· 2 files · 4 GB · 1 weight changed, 1 left")
    assert footer(COPIED).endswith("· no weight changed")


def test_what_was_dropped_is_counted_apart_from_what_was_left():
    dropped = (Skipped("optimizer", "optimizer state"),)
    assert footer(replace(COPIED, dropped=dropped)).endswith("no weight changed, 1 dropped")
    both = footer(replace(COPIED, dropped=dropped, left=(Skipped("a", "all zero"),)))
    assert both.endswith("no weight changed, 1 left, 1 dropped")


def test_what_was_left_is_told_by_reason_and_no_list_is_endless():
    assert said(REMOVED)[:2] == [
        ("fc.weight", "all of its entries are zero"),
        (
            "blocks.0.mix.weight, blocks.1.mix.weight, blocks.2.mix.weight and 9 more",
            "an unknown parametrization",
        ),
    ]
    three = replace(REMOVED, left=tuple(Skipped(name, "odd") for name in "abc"), notes=())
    assert said(three) == [("a, b, c", "odd")]


@pytest.mark.parametrize("name", ["table", "markdown"])
def test_what_people_read_says_what_was_left_and_why(name):
    text = written(REMOVED, name)
    for words in ("all of its entries are zero", "explain 80 %", "and share their bytes", "9 more"):
        assert words in text


def test_spellings_that_a_narrow_table_has_no_room_for_are_told_below_it():
    told = " · ".join(ways(REMOVED)[:2])
    assert told == "1 spectral legacy → plain · 1 weight legacy → plain"
    assert told in written(REMOVED, "table", width=80)
    assert told not in written(REMOVED, "table", width=200)


def test_where_nothing_is_stored_in_another_way_one_column_says_how():
    for width in (40, 80, 200):
        text = written(HARD, "table", width=width)
        assert "spectral parametrized" in text
        assert "→ spectral" not in text
    assert " stored as " in written(HARD, "table", width=200)
    assert "| stored as |" in written(HARD, "markdown")
    assert written(HARD, "plain").splitlines()[0] == written(REMOVED, "plain").splitlines()[0]


def test_of_many_sentences_the_first_ten_are_shown():
    names = [f"w{n}" for n in range(12)]
    spelled = (LEGACY, Spelling())
    steps = tuple(step("remove", ref(each, (2, 2)), spelled, 0, "W / σ") for each in names)
    many = replace(
        REMOVED, steps=steps, changes={each: Change(0, notes=("odd",)) for each in names}
    )
    text = written(many, "table")
    assert "w9: odd" in text
    assert "w10: odd" not in text
    assert "2 more (--format json shows all)" in text


@given(st.integers(40, 200))
def test_no_line_is_wider_than_the_terminal(width):
    for found in REWRITINGS.values():
        assert max(map(cells_of, written(found, "table", width=width).splitlines())) <= width


@pytest.mark.parametrize("name", REWRITING_FORMATS)
def test_no_format_lets_a_hostile_name_through(name):
    allowed = {"\n", "\t"} if name == "plain" else {"\n"}
    letters = set(written(HARD, name)) - allowed
    assert not [each for each in letters if unicodedata.category(each) in ("Cc", "Cf", "Cs")]


@pytest.mark.parametrize("name", REWRITING_FORMATS)
def test_every_format_writes_a_rewriting_that_changed_nothing(name):
    assert written(COPIED, name).endswith("\n") or name == "jsonl"


def test_numbers_that_are_none_are_words():
    weight = json.loads(written(HARD, "json"))["weights"][0]
    assert (weight["sigma_before"], weight["sigma_after"]) == ("nan", "-inf")
    assert math.isinf(float(weight["spectral_norm"]))
    assert "NaN" in written(HARD, "table")


def test_an_ascii_table_is_ascii():
    text = written(REMOVED, "table", unicode=False)
    assert text.isascii()
    assert "gan.pt -> gan.plain.pt" in text
    assert "max |dW|" in text


def test_color_changes_no_letter():
    colored = written(REMOVED, "table", color=True)
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) == written(REMOVED, "table")


MOMENTS = [
    f"{moment}_{when}_{end}"
    for when in ("before", "after")
    for moment in ("mean", "std")
    for end in ("lowest", "highest")
]


def test_plain_text_and_csv_hold_every_digit_of_a_layer():
    spreads = (
        LAYERS[0].before.mean,
        LAYERS[0].before.std,
        LAYERS[0].after.mean,
        LAYERS[0].after.std,
    )
    ends = [repr(end) for spread in spreads for end in (spread.lowest, spread.highest)]
    head, line, *_ = (each.split("\t") for each in written(INITIALIZED, "plain").splitlines())
    assert head[10:] == ["units", "count", *MOMENTS]
    assert line[10:] == ["512", "4096", *ends]
    row, *_ = csv.DictReader(io.StringIO(written(INITIALIZED, "csv")))
    assert [row[name] for name in ("units", "count", *MOMENTS)] == line[10:]


def test_csv_has_the_columns_of_layers_for_every_verb_and_plain_text_only_where_there_are_any():
    row, *_ = csv.DictReader(io.StringIO(written(REMOVED, "csv")))
    assert {row[name] for name in ("units", "count", *MOMENTS)} == {""}
    assert list(row)[-10:] == ["units", "count", *MOMENTS]
    assert "units" not in written(REMOVED, "plain")


@pytest.mark.parametrize("unicode", [True, False])
def test_what_a_layer_computes_fits_eighty_columns_beside_its_name(unicode):
    text = written(INITIALIZED, "table", width=80, unicode=unicode)
    for words in ("mean before", "std before", "mean after", "std after", "G/head.0.weight"):
        assert words in text
    assert ("-0.31…0.42" if unicode else "-0.31...0.42") in text
    assert ("1 ±2.4e-07" if unicode else "1 +-2.4e-07") in text


def test_a_layer_that_missed_its_mean_stands_out():
    text = written(INITIALIZED, "table", width=80, color=True)
    assert "\x1b[33m0 ±0.12" in text
    assert "\x1b[33m1 ±0.020" not in text


def test_numbers_of_a_layer_that_are_none_are_words():
    layer = json.loads(written(BROKEN, "json"))["weights"][0]["layer"]
    assert layer["mean_before"] == {"lowest": "nan", "highest": 1.0}
    assert layer["std_before"] == {"lowest": "-inf", "highest": "inf"}
    text = written(BROKEN, "table", width=200)
    for words in (" NaN…1.0 ", " -inf…inf ", " NaN ", " inf "):
        assert words in text


def test_the_footer_counts_layers_where_layers_were_initialized():
    assert footer(INITIALIZED).endswith("· 3 layers initialized, 2 left")
    plan = replace(INITIALIZED, written=False, changes={}, left=(), output_files=())
    assert footer(plan).endswith(" · 3 layers to initialize")
    assert footer(replace(plan, steps=())).endswith(" · no layer to initialize")


@pytest.mark.parametrize(
    ("batch", "shown"),
    [
        ("runs/7/batch.safetensors", "on batch.safetensors"),
        ("runs/x.npy", "on runs/x.npy"),
        ("/tmp/x.npy", "on /tmp/x.npy"),
        ("runs/7/x\x1b[2J.npy", "on x\\x1b[2J.npy"),
    ],
)
def test_the_heading_names_the_batch(batch, shown):
    found = replace(INITIALIZED, batch=InputFile(batch, 9))
    assert heading(found)[1] == f"initialize · torch-zip · 1.33 MB · {shown}"
    in_place = replace(found, output=found.path)
    assert heading(in_place)[1].endswith(f" · {shown} · in place")


def test_a_plan_of_an_initialization_says_what_changes():
    plan = replace(INITIALIZED, written=False, changes={})
    text = written(plan, "table", width=120)
    assert "what changes" in text
    assert "mean before" not in text
