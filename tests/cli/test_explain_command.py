"""`normcli explain`, and what a policy with mistakes says: through a real process."""

import json
import sys
from importlib.resources import files

import pytest
from jsonschema import Draft202012Validator
from processes import run

from normcli.rules import RULES, explained

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA = json.loads(files("normcli.render").joinpath("explanation.schema.json").read_text("utf-8"))


def words(text):
    return " ".join(text.split())


def test_without_a_rule_every_one_is_listed_on_a_line():
    done = run("explain", COLUMNS="200")
    assert (done.returncode, done.stderr) == (0, "")
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert sorted(listed) == sorted(RULES)


def test_every_rule_is_told_whole():
    done = run("explain", "--format", "json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    Draft202012Validator(SCHEMA).validate(document)
    for rule in document["rules"]:
        told = f"{rule['summary']} Why: {rule['why']} Fix: {rule['fix']}"
        assert words(told) == words(explained(rule["name"]))
        assert rule["why"]
        assert rule["fix"]
        assert tomllib.loads(rule["example"])["demand"][0]["rule"] == rule["name"]
    assert [rule["name"] for rule in document["rules"]] == list(RULES)


@pytest.mark.parametrize("width", ["80", "40", "200"])
def test_one_rule_is_told_as_wide_as_the_terminal(width):
    done = run("explain", "spectral-limit", COLUMNS=width)
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= min(int(width), 100)
    assert words(explained("spectral-limit").partition("\n")[0]) in words(done.stdout)
    for heading in ("Parameters", "Why", "Fix", "Example"):
        assert f"\n{heading}\n" in done.stdout
    assert "limit  largest σ₁ (required)" in done.stdout


def test_colour_changes_no_letter():
    plain, colored = (run("explain", "finite", "--color", when) for when in ("never", "always"))
    assert "\x1b[" in colored.stdout
    stripped = colored.stdout
    for code in ("\x1b[1;31m", "\x1b[1m", "\x1b[0m"):
        stripped = stripped.replace(code, "")
    assert stripped == plain.stdout == run("explain", "finite").stdout


def test_a_c_locale_gets_ascii():
    done = run("explain", "spectral-limit", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "sigma1" in done.stdout


def test_a_rule_that_is_not_known_ends_with_2():
    done = run("explain", "spectral-limt")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "normcli: no rule is called 'spectral-limt'\nhint: did you mean 'spectral-limit'?\n"
    )


def test_a_format_that_is_not_known_ends_with_2():
    done = run("explain", "-f", "jsn")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'json'?" in done.stderr


def test_an_explanation_goes_into_a_file(tmp_path):
    path = tmp_path / "rules.json"
    assert run("explain", "-o", path).returncode == 0
    assert len(json.loads(path.read_text())["rules"]) == len(RULES)
    assert run("explain", "-o", path).returncode == 2
    assert run("explain", "-o", path, "--force").returncode == 0


def test_every_mistake_of_a_policy_is_a_line_and_ends_with_2(model):
    folder = model.parent
    (folder / "normcli.toml").write_text(
        "schema = 1\n[[demand]]\nrule = 'spectral-limit'\nlimt = 1\n"
        '[[demand]]\nrule = "x\\u001b"\n'
    )
    done = run("check", model, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    head, *lines, hint = done.stderr.splitlines()
    assert head.endswith("normcli.toml: 3 mistakes in the policy")
    assert [line.partition("normcli.toml: ")[2] for line in lines] == [
        "line 2: demand 1 (spectral-limit): 'limit' is missing",
        "line 4: demand 1 (spectral-limit): 'limt' is not known, did you mean 'limit'?",
        "line 6: demand 2: no rule is called 'x\\x1b'",
    ]
    assert all(line.startswith("normcli: ") for line in (head, *lines))
    assert hint.startswith("hint: 'normcli explain'")


def test_a_policy_beside_the_checkpoint_is_not_looked_for(model, tmp_path_factory):
    (model.parent / "normcli.toml").write_text("schema = 2\n")
    done = run("check", model, cwd=tmp_path_factory.mktemp("elsewhere"))
    assert done.returncode in (0, 1), done.stderr
