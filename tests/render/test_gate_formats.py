"""What each format of the gate says, read back by those who read it in continuous integration."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files

import pytest
from gate_records import (
    ABOVE,
    EVILS,
    FAILING,
    MANY,
    PASSING,
    POLICY,
    VERDICTS,
)
from gate_writing import fix_rules, written
from jsonschema import Draft202012Validator
from junitparser import JUnitXml

from normcli.records import Checked, Skipped, Verdict
from normcli.render.gate_markdown import LIMIT


@pytest.fixture(autouse=True)
def _rules(monkeypatch):
    fix_rules(monkeypatch)


# full and concise


@pytest.mark.parametrize("kind", VERDICTS)
def test_the_outcome_of_every_format_is_that_of_the_verdict(kind):
    verdict = VERDICTS[kind]
    said = "passed" if verdict.passed else "failed"
    assert re.search(rf"^ {said} · ", written(verdict, "full", width=400), re.MULTILINE)
    assert written(verdict, "concise").splitlines()[-1].startswith(f"{said}: ")
    assert written(verdict, "markdown").startswith(f"### normcli check: {said}\n")
    assert json.loads(written(verdict, "json"))["verdict"] == ("pass" if verdict.passed else "fail")
    junit = JUnitXml.fromstring(written(verdict, "junit").encode())
    if verdict.checked or verdict.unread:  # without either there is no suite that could fail
        assert (junit.failures + junit.errors == 0) == verdict.passed


def test_what_was_not_looked_at_is_said():
    for name in ("full", "markdown"):
        text = written(FAILING, name, width=400).replace("\\", "")
        assert "looked at no weight: from-tomorrow (*.bias)" in text
        assert "3 skipped (2 optimizer state, 1 not a floating-point tensor)" in text
        assert "looked at no weight: spectral-limit (D/*, G/*), stale-state" in text
        assert "foreign-objects," not in text


def test_of_many_reasons_six_are_spelled_out():
    skipped = tuple(Skipped(f"t{n}", f"reason {n}") for n in range(9))
    checked = replace(
        PASSING.checked[0], report=replace(PASSING.checked[0].report, skipped=skipped)
    )
    text = written(replace(PASSING, checked=(checked,)), "concise")
    assert "9 skipped (1 reason 0, " in text
    assert "1 reason 5, 3 for other reasons)" in text


def test_ignored_findings_are_counted_and_not_shown():
    for name in ("full", "concise", "markdown"):
        text = written(FAILING, name)
        assert "2 ignored" in text
        assert "argparse" not in text


def test_a_concise_line_is_a_finding_that_counts():
    *lines, last = written(FAILING, "concise").splitlines()
    counted = sum(len(each.counted) for each in FAILING.checked) + len(FAILING.unread)
    assert len(lines) == counted
    assert all(re.fullmatch(r".+: (error|warning): .+ \[[a-z-]+\]", line) for line in lines)
    assert lines[0] == (
        "gan.pt: D/blocks.1.conv.weight: error: σ₁ ≥ 1.250 is above the limit 1.010 "
        "[spectral-limit]"
    )
    assert last.startswith("failed: ")


def test_the_time_is_said_where_it_is_known():
    assert written(PASSING, "concise", seconds=0.84).endswith(" · 0.84 s\n")


def test_the_same_rule_without_weights_is_named_once():
    demands = (POLICY.demands[1],) * 3
    verdict = Verdict(
        replace(POLICY, demands=demands), (replace(PASSING.checked[0], covered=(0, 0, 0)),)
    )
    assert "looked at no weight: stale-state\n" in written(verdict, "full")


@pytest.mark.parametrize("name", ["full", "concise", "github"])
def test_a_name_of_a_megabyte_is_no_trouble(name):
    huge = replace(ABOVE, weight="x" * 1_000_000, message="y" * 1_000_000)
    text = written(replace(FAILING, checked=(Checked(FAILING.checked[0].report, (huge,)),)), name)
    assert len(text) < (5_000_000 if name == "concise" else 10_000)


# json


def schema(name):
    return json.loads(files("normcli.render").joinpath(f"{name}.schema.json").read_text("utf-8"))


@pytest.mark.parametrize("kind", VERDICTS)
def test_the_json_report_conforms_to_the_schema_of_reports(kind):
    text = written(VERDICTS[kind], "json")
    Draft202012Validator(schema("report")).validate(json.loads(text))
    assert text.isascii()


def test_the_json_report_holds_every_finding_and_what_was_ignored():
    record = json.loads(written(FAILING, "json"))
    gan = record["checkpoints"][0]
    assert gan["findings"] == [each.to_dict() for each in FAILING.checked[0].findings]
    assert [each.get("ignored") for each in gan["findings"]][1:3] == [
        {"reason": "trained on, refreshed at export", "until": "2027-06-30"},
        {"reason": "ours"},
    ]
    assert gan["findings"][4]["value"] == "nan"
    assert record["policy"] == {"path": "normcli.toml", "fail_on": "error"}
    assert record["unread"] == [
        {
            "path": "./broken.pt",
            "message": "is neither a zip nor a pickle",
            "hint": "look at it with file(1)",
        }
    ]


def test_the_json_report_says_what_each_demand_looked_at():
    demands = json.loads(written(FAILING, "json"))["checkpoints"][0]["demands"]
    assert demands[0] == {"rule": "spectral-limit", "weights": ["D/*", "G/*"], "looked_at": 7}
    assert [each["looked_at"] for each in demands] == [7, 4, 0, 0]


# markdown


def rows(text):
    return [line for line in text.splitlines() if line.startswith("| ")][2:]


def test_a_hostile_name_stays_in_its_cell_of_markdown():
    text = written(EVILS, "markdown")
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows(text)} == {7}


def test_a_table_that_a_summary_could_not_hold_is_cut_at_whole_rows():
    long = replace(ABOVE, weight="w" * 150, message="ü" * 500, fix="σ" * 500)
    huge = Verdict(POLICY, (Checked(FAILING.checked[0].report, (long,) * 1000),))
    text = written(huge, "markdown")
    shown = len(rows(text))
    assert LIMIT * 0.99 < len(text.encode()) <= LIMIT < 1 << 20
    assert f"… {1000 - shown} more findings have no room here" in text
    assert "1,000 errors in 1 checkpoint" in text
    assert all(row.endswith(" |") for row in rows(text))


def test_a_table_that_fits_is_not_cut():
    assert len(rows(written(MANY, "markdown"))) == 1000


def test_without_findings_there_is_no_table():
    assert "|" not in written(PASSING, "markdown")


def test_the_formats_need_neither_torch_nor_rich_before_one_is_drawn():
    code = "import normcli.render.gate, sys; print({'torch', 'numpy', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
