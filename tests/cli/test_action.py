"""The GitHub action: held by its schema, and its scripts run as a runner would run them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from processes import COMMAND, environment
from safetensors.torch import save_file

ROOT = Path(__file__).parents[2]
ACTION = ROOT / "action.yml"
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


def action():
    return yaml.safe_load(ACTION.read_text(encoding="utf-8"))


def step(name):
    (found,) = [each for each in action()["runs"]["steps"] if each["name"] == name]
    return found


def executable(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


class Runner:
    """A machine that runs the steps: a folder of work, files for outputs and the summary."""

    def __init__(self, folder):
        self.work, self.temp = folder / "work", folder / "temp"
        self.output, self.summary = folder / "output", folder / "summary.md"
        self.work.mkdir()
        self.output.touch()
        self.summary.write_text("# Before\n")
        words = " ".join(f"'{word}'" for word in COMMAND)
        executable(self.temp / "normcli" / "bin" / "normcli", f'exec {words} "$@"')

    def run(self, name, **inputs):
        """Run a step as the composite maps its inputs, in the way that `shell: bash` does."""
        declared = {key: each.get("default", "") for key, each in action()["inputs"].items()}
        given = {**declared, **{key.replace("_", "-"): value for key, value in inputs.items()}}
        mapped = {
            variable: EXPRESSION.sub(lambda m: given[m[1].removeprefix("inputs.")], value)
            for variable, value in step(name)["env"].items()
        }
        script = self.temp / "script.sh"
        script.write_text(step(name)["run"])
        more = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "RUNNER_TEMP": str(self.temp),
            "PYTHONPATH": str(ROOT),
        }
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.work,
            env={**environment(**more), **mapped},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )

    def outputs(self):
        """Name → value, of both ways to write them."""
        text = self.output.read_text()
        found = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
        return found | {name: value for name, _, value in _LONG.findall(text)}


_LONG = re.compile(r"^(\w+)<<(.+)\n(.*)\n\2$", re.MULTILINE)


@pytest.fixture
def runner(tmp_path):
    return Runner(tmp_path)


def good(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"fc.weight": torch.eye(4)}, path)


def bad(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"fc.weight": torch.full((2, 2), torch.nan)}, path)


def test_the_action_is_valid():
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions",
         str(ACTION)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_script_holds_an_expression():
    assert not [each["name"] for each in action()["runs"]["steps"] if "${{" in each["run"]]


def test_every_script_stops_at_the_first_failure():
    for each in action()["runs"]["steps"]:
        assert each["shell"] == "bash"
        assert each["run"].startswith("set -euo pipefail\n")


def test_nothing_of_a_third_party_is_used():
    assert not [each for each in action()["runs"]["steps"] if "uses" in each]


def test_every_input_reaches_a_script_and_every_expression_an_input():
    mapped = [value for each in action()["runs"]["steps"] for value in each["env"].values()]
    used = [EXPRESSION.fullmatch(value)[1].removeprefix("inputs.") for value in mapped]
    assert sorted(used) == sorted(action()["inputs"])


def test_a_checkpoint_that_passes_ends_with_0(runner):
    good(runner.work / "good.safetensors")
    done = runner.run("Check", paths="good.safetensors")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "::error" not in done.stdout
    assert runner.outputs() == {"verdict": "pass"}
    assert runner.summary.read_text().startswith("# Before\n")
    assert "good.safetensors" in runner.summary.read_text()


def test_a_finding_ends_with_1_and_an_annotation(runner):
    bad(runner.work / "bad.pt")
    done = runner.run("Check", paths="bad.pt", sarif="out.sarif")
    assert done.returncode == 1, done.stderr
    assert "::error " in done.stdout
    assert "file=bad.pt" in done.stdout
    assert "fc.weight" in runner.summary.read_text()
    assert runner.outputs() == {"verdict": "fail", "sarif": "out.sarif"}
    sarif = json.loads((runner.work / "out.sarif").read_text())
    assert sarif["version"] == "2.1.0"
    assert len(sarif["runs"][0]["results"]) >= 1


def test_a_checkpoint_that_cannot_be_read_ends_with_2(runner):
    good(runner.work / "good.safetensors")
    (runner.work / "junk.pt").write_bytes(b"junk")
    done = runner.run("Check", paths="good.safetensors\njunk.pt\n")
    assert done.returncode == 2
    assert "junk.pt" in done.stderr
    assert runner.outputs() == {"verdict": "error"}


def test_a_path_is_a_path_whatever_is_in_it(runner):
    names = ["a b.pt", "$(touch pwned).pt", "`touch pwned`.pt", "[x]*.pt", "--fail-on=never"]
    for name in names:
        bad(runner.work / name)
    done = runner.run("Check", paths="\n".join(names), format="concise")
    assert done.returncode == 1, done.stderr
    assert all(name in done.stdout for name in names)
    assert not (runner.work / "pwned").exists()


def test_options_with_spaces_and_commands_are_values(runner):
    bad(runner.work / "bad.pt")
    policy = runner.work / "a $(touch pwned) policy.toml"
    policy.write_text('schema = 1\nfail-on = "never"\n[[demand]]\nrule = "finite"\n')
    done = runner.run(
        "Check",
        paths="bad.pt",
        policy=policy.name,
        reports="json=a b.json\njunit=$(touch pwned).xml",
        sarif="my `touch pwned`.sarif",
    )
    assert done.returncode == 0, done.stderr
    left = {each.name for each in runner.work.iterdir()}
    made = {"a b.json", "$(touch pwned).xml", "my `touch pwned`.sarif"}
    assert left == {"bad.pt", policy.name, *made}
    assert runner.outputs() == {"verdict": "pass", "sarif": "my `touch pwned`.sarif"}


def test_globs_are_expanded_and_one_without_a_match_fails(runner):
    good(runner.work / "one.safetensors")
    bad(runner.work / "deep" / "er" / "with space.pt")
    found = runner.run("Check", paths="*.safetensors\n\n**/*.pt", format="concise")
    assert found.returncode == 1, found.stderr
    assert "with space.pt" in found.stdout
    missed = runner.run("Check", paths="*.safetensors\n*.ckpt")
    assert missed.returncode == 2
    assert "*.ckpt: " in missed.stderr


@pytest.mark.parametrize("paths", ["", "\n\n"])
def test_no_path_ends_with_2(runner, paths):
    done = runner.run("Check", paths=paths)
    assert done.returncode == 2
    assert "names no checkpoint" in done.stderr


def test_fail_on_and_a_mistake_in_it_reach_normcli(runner):
    bad(runner.work / "bad.pt")
    assert runner.run("Check", paths="bad.pt", fail_on="never").returncode == 0
    done = runner.run("Check", paths="bad.pt", fail_on="nevr")
    assert done.returncode == 2
    assert "nevr" in done.stderr


def test_an_older_sarif_file_is_replaced_and_never_taken_for_a_new_one(runner):
    good(runner.work / "good.safetensors")
    old = runner.work / "out.sarif"
    old.write_text("old")
    refused = runner.run("Check", paths="good.safetensors", sarif="out.sarif", policy="none.toml")
    assert refused.returncode == 2
    assert runner.outputs() == {"verdict": "error"}
    assert old.read_text() == "old"
    assert runner.run("Check", paths="good.safetensors", sarif="out.sarif").returncode == 0
    assert runner.outputs() == {"verdict": "pass", "sarif": "out.sarif"}
    assert json.loads(old.read_text())["version"] == "2.1.0"


def test_without_a_summary_there_is_none(runner, tmp_path):
    good(runner.work / "good.safetensors")
    runner.summary = ""
    done = runner.run("Check", paths="good.safetensors")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("version", "asked"), [("", [f"{ROOT}"]), ("0.1.0", ["normcli==0.1.0"])])
def test_what_is_installed_is_this_action_or_a_release(runner, tmp_path, version, asked):
    # a python3 that makes an environment with a python that says what it was asked to do
    said = tmp_path / "said"
    fake = runner.temp / "fake"
    executable(fake, f'printf "%s\\n" "$@" >> "{said}"')
    executable(tmp_path / "bin" / "python3", f'mkdir -p "$4/bin" && cp "{fake}" "$4/bin/python"')
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    monkey = step("Install normcli")["run"]
    assert "python3 -I -m venv" in monkey
    done = runner_with_path(runner, path, version)
    assert done.returncode == 0, done.stderr
    words = said.read_text().splitlines()
    assert words[:4] == ["-I", "-m", "pip", "install"]
    assert words[-1:] == asked


def runner_with_path(runner, path, version):
    before = os.environ["PATH"]
    os.environ["PATH"] = path
    try:
        return runner.run("Install normcli", version=version)
    finally:
        os.environ["PATH"] = before
