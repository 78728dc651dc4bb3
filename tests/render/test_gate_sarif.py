"""SARIF: by its official schema, and by what code scanning wants beyond it."""

import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from gate_records import ABOVE, EVILS, FAILING, MANY, PASSING, UNREAD, VERDICTS
from gate_writing import fix_rules, written
from jsonschema import Draft202012Validator

from normcli.records import Checked
from normcli.render.rule_help import rule_help
from normcli.rules import RULES

SCHEMA = json.loads(Path(__file__).with_name("sarif-2.1.0.schema.json").read_text("utf-8"))


@pytest.fixture(autouse=True)
def _rules(monkeypatch):
    fix_rules(monkeypatch)


def run(verdict):
    (found,) = json.loads(written(verdict, "sarif"))["runs"]
    return found


@pytest.mark.parametrize("kind", VERDICTS)
def test_every_verdict_conforms_to_the_official_schema(kind):
    Draft202012Validator(SCHEMA).validate(json.loads(written(VERDICTS[kind], "sarif")))


@pytest.mark.parametrize("kind", VERDICTS)
def test_every_result_has_a_place_a_rule_and_a_fingerprint(kind):
    found = run(VERDICTS[kind])
    rules = found["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in found["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        for location in result["locations"]:
            physical = location["physicalLocation"]
            assert physical["region"] == {"startLine": 1}
            base, uri = (
                physical["artifactLocation"].get("uriBaseId"),
                physical["artifactLocation"]["uri"],
            )
            assert (base == "%SRCROOT%") != uri.startswith("file:///")
        assert list(result["partialFingerprints"]) == ["primaryLocationLineHash"]


@pytest.mark.parametrize("kind", VERDICTS)
def test_no_two_results_of_one_file_have_one_fingerprint(kind):
    keys = [
        (
            each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            each["ruleId"],
            each["partialFingerprints"]["primaryLocationLineHash"],
        )
        for each in run(VERDICTS[kind])["results"]
    ]
    assert len(set(keys)) == len(keys)


def test_ignored_findings_are_suppressed_results():
    suppressed = [each for each in run(FAILING)["results"] if "suppressions" in each]
    assert [each["suppressions"] for each in suppressed] == [
        [{"kind": "external", "justification": "ours"}],
        [{"kind": "external", "justification": "trained on, refreshed at export"}],
    ]


def test_what_could_not_be_read_is_a_failed_run_and_a_result():
    found = run(FAILING)
    (invocation,) = found["invocations"]
    assert invocation["executionSuccessful"] is False
    (notification,) = invocation["toolExecutionNotifications"]
    assert notification["level"] == "error"
    assert found["results"][0]["ruleId"] == "unreadable"
    assert run(PASSING)["invocations"] == [{"executionSuccessful": True}]


def test_rules_have_their_help_and_level():
    rules = {rule["id"]: rule for rule in run(FAILING)["tool"]["driver"]["rules"]}
    about = rules["stale-state"]
    assert about["shortDescription"]["text"] == "Stored u and v belong to their weight."
    assert about["help"]["markdown"].endswith("**Fix:** Run `normcli refresh PATH`.")
    assert about["defaultConfiguration"] == {"level": "warning"}
    assert rules["from-tomorrow"]["help"]["text"] == "from-tomorrow"


def test_the_first_of_two_checkpoints_does_not_change_what_the_second_is_known_by():
    report = FAILING.checked[0].report
    one, two = Checked(report, (ABOVE,)), Checked(replace(report, path="other.pt"), (ABOVE,))
    both = run(replace(FAILING, checked=(one, two), unread=()))["results"]
    alone = run(replace(FAILING, checked=(two,), unread=()))["results"]
    assert both[1] == alone[0]


def test_braces_and_links_in_a_message_are_only_letters():
    odd = replace(ABOVE, weight="{0}.[a](1)")
    (result,) = run(replace(MANY, checked=(Checked(MANY.checked[0].report, (odd,)),)))["results"]
    assert result["message"]["text"].startswith("{{0}}.[a] (1): ")
    assert result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "{0}.[a](1)"


def test_every_rule_of_the_package_has_words_for_code_scanning(monkeypatch):
    monkeypatch.setattr("normcli.render.rule_help.RULES", RULES)
    for name in RULES:
        about = rule_help(name)
        assert about.summary.endswith("."), name
        assert about.why, name
        assert about.fix, name


def test_percent_encoding_is_that_of_the_file_system():
    verdict = replace(UNREAD, unread=(replace(UNREAD.unread[0], path="a b%20#?ü\udcff:é.pt"),))
    (result,) = json.loads(written(verdict, "sarif"))["runs"][0]["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert unquote_to_bytes(urlsplit(uri).path) == "a b%20#?ü".encode() + b"\xff" + ":é.pt".encode()


def test_the_weight_of_a_result_is_its_logical_location():
    results = json.loads(written(EVILS, "sarif"))["runs"][0]["results"]
    (location,) = results[1]["locations"][0]["logicalLocations"]
    assert location["fullyQualifiedName"].endswith('"q" 重み\\ud800\\udcff\\x00\\ufffe.weight')
