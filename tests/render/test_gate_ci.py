"""Annotations, Code Quality and JUnit, read as those who take them read them."""

import io
import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from gate_records import (
    ABOVE,
    EMPTY,
    EVILS,
    FAILING,
    MANY,
    NAN,
    NEVER,
    PASSING,
    POLICY,
    STALE,
    STRICT,
    UNREAD,
    VERDICTS,
    WARNED,
)
from gate_writing import fix_rules, written
from junitparser import JUnitXml

from normcli.records import Checked, Verdict


@pytest.fixture(autouse=True)
def _rules(monkeypatch):
    fix_rules(monkeypatch)


# github: the runner's own rules, ActionCommand.TryParseV2 and its unescaping

DATA = {"%0D": "\r", "%0A": "\n", "%25": "%"}
PROPERTY = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}


def unescaped(text, table):
    for escape, letter in table.items():
        text = text.replace(escape, letter)
    return text


def commands(text):
    for line in io.StringIO(text):
        if not line.startswith("::"):
            continue
        end = line.index("::", 2)
        name, _, properties = line[2:end].partition(" ")
        pairs = (pair.split("=", 1) for pair in properties.split(",") if pair)
        named = {key: unescaped(value, PROPERTY) for key, value in pairs}
        yield name, named, unescaped(line[end + 2 :].rstrip("\n"), DATA)


def test_an_annotation_is_what_the_runner_reads():
    assert list(commands(written(FAILING, "github")))[4] == (
        "warning",
        {"title": "normcli stale-state", "file": "gan.pt", "line": "1"},
        f"D/blocks.1.conv.weight: {STALE.message}\nfix: normcli refresh gan.pt",
    )


def test_a_path_is_what_the_runner_reads_whatever_is_in_it():
    path = "runs/a,b:c%2C100%=.pt"
    checked = Checked(replace(FAILING.checked[0].report, path=path), (ABOVE,))
    ((_, named, _),) = commands(written(replace(FAILING, checked=(checked,), unread=()), "github"))
    assert named["file"] == path


def test_a_hostile_name_adds_no_command():
    found = list(commands(written(EVILS, "github")))
    assert [name for name, _, _ in found] == ["error", "error"]
    assert all(set(named) == {"title", "file", "line"} for _, named, _ in found)


def test_unread_paths_come_first_and_are_errors():
    name, named, message = next(commands(written(FAILING, "github")))
    assert (name, named["file"]) == ("error", "broken.pt")
    assert message.startswith("could not be read: ")


def test_of_a_thousand_findings_ten_are_annotations_and_the_rest_is_counted():
    found = list(commands(written(MANY, "github")))
    assert [name for name, _, _ in found] == ["error"] * 10 + ["notice"]
    assert found[-1][2].startswith("990 more findings")


def test_errors_come_before_warnings_of_other_checkpoints():
    report = FAILING.checked[0].report
    both = (Checked(report, (STALE,)), Checked(report, (ABOVE,)))
    found = commands(written(replace(FAILING, checked=both, unread=()), "github"))
    assert [name for name, _, _ in found] == ["error", "warning"]


# gitlab


def test_gitlab_gets_what_it_demands_of_an_issue():
    issues = json.loads(written(FAILING, "gitlab"))
    assert len(issues) == 8
    for issue in issues:
        assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert issue["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert issue["location"]["lines"] == {"begin": 1}
        assert not issue["location"]["path"].startswith("./")
    assert [issue["severity"] for issue in issues[:2]] == ["blocker", "major"]


@pytest.mark.parametrize("kind", VERDICTS)
def test_gitlab_fingerprints_are_all_different(kind):
    prints = [each["fingerprint"] for each in json.loads(written(VERDICTS[kind], "gitlab"))]
    assert len(set(prints)) == len(prints)


def of(verdict, name):
    """The fingerprints of a verdict in a format."""
    record = json.loads(written(verdict, name))
    if name == "gitlab":
        return [each["fingerprint"] for each in record]
    return [each["partialFingerprints"] for each in record["runs"][0]["results"]]


@pytest.mark.parametrize("name", ["gitlab", "sarif"])
def test_a_fingerprint_is_the_same_whatever_was_measured(name):
    (checked,) = NEVER.checked
    moved = replace(ABOVE, message="σ₁ ≥ 3", value=3.0, upper=4.0, limit=2.0, severity="warning")
    other = replace(NEVER, checked=(replace(checked, findings=(moved,)),))
    assert of(NEVER, name) == of(other, name)
    elsewhere = replace(ABOVE, weight="D/other")
    assert of(NEVER, name) != of(
        replace(NEVER, checked=(replace(checked, findings=(elsewhere,)),)), name
    )


# junit


def test_junit_has_a_suite_a_checkpoint_and_a_case_a_demand():
    junit = JUnitXml.fromstring(written(FAILING, "junit").encode())
    suites = list(junit)
    assert [suite.name for suite in suites] == [
        "gan.pt", "runs/a b%20ü#1,x:y.safetensors", "/nowhere/x y.pt", "./broken.pt",
    ]  # fmt: skip
    assert [case.classname for case in suites[0]] == [
        "spectral-limit", "stale-state", "foreign-objects", "from-tomorrow", "policy",
    ]  # fmt: skip
    assert next(case.name for case in suites[0]) == "spectral-limit (D/*, G/*)"
    counts = junit.tests, junit.failures, junit.errors, junit.skipped
    junit.update_statistics()  # the parser's own count
    assert counts == (junit.tests, junit.failures, junit.errors, junit.skipped) == (16, 2, 1, 4)


def test_junit_holds_every_finding_of_a_demand():
    (suite, *_) = JUnitXml.fromstring(written(FAILING, "junit").encode())
    (failure,) = next(iter(suite)).result
    assert ABOVE.message in failure.text
    assert NAN.message in failure.text
    assert ABOVE.fix in failure.text


@pytest.mark.parametrize(("verdict", "failures"), [(WARNED, 0), (STRICT, 1), (NEVER, 0)])
def test_junit_fails_where_the_gate_fails_and_prints_the_rest(verdict, failures):
    text = written(verdict, "junit")
    assert JUnitXml.fromstring(text.encode()).failures == failures
    assert ("<system-out>" in text) == (not failures)


def test_junit_survives_what_xml_cannot_hold():
    root = ET.fromstring(written(EVILS, "junit"))
    assert "重み\\ud800\\udcff\\x00\\ufffe.weight" in root[0].get("name")


def test_demands_of_one_rule_are_cases_of_their_own():
    twice = Verdict(replace(POLICY, demands=POLICY.demands[:1] * 2), PASSING.checked)
    (suite,) = JUnitXml.fromstring(written(twice, "junit").encode())
    names = [case.name for case in suite if case.name != "policy"]
    assert names == ["spectral-limit (D/*, G/*)", "spectral-limit (D/*, G/*) #2"]


def test_junit_of_nothing_is_a_document():
    assert list(JUnitXml.fromstring(written(EMPTY, "junit").encode())) == []


# the place of a file


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("gan.pt", "gan.pt"),
        ("./gan.pt", "gan.pt"),
        ("a/../b//gan.pt", "b/gan.pt"),
        ("{cwd}/a/gan.pt", "a/gan.pt"),
        ("..gan.pt", "..gan.pt"),
    ],
)
def test_a_path_is_told_from_the_working_directory(tmp_path, monkeypatch, path, place):
    monkeypatch.chdir(tmp_path)
    verdict = replace(UNREAD, unread=(replace(UNREAD.unread[0], path=path.format(cwd=tmp_path)),))
    (issue,) = json.loads(written(verdict, "gitlab"))
    assert issue["location"]["path"] == place


def test_a_path_is_told_from_the_root_of_the_repository(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path / "models")
    (issue,) = json.loads(written(UNREAD, "gitlab", root=str(tmp_path)))
    assert issue["location"]["path"] == "models/broken.pt"


def test_a_file_outside_has_an_absolute_uri_without_a_base(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    verdict = replace(UNREAD, unread=(replace(UNREAD.unread[0], path="../x y.pt"),))
    (result,) = json.loads(written(verdict, "sarif"))["runs"][0]["results"]
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact == {"uri": (tmp_path.parent / "x y.pt").as_uri()}
