"""What the program does not load, and help pages."""

import subprocess
import sys

import pytest
from processes import environment, run

from normcli.cli.app import COMMANDS

WRITERS = ("apply", "remove", "convert", "refresh", "initialize")
ARGUMENTS = {  # else PATH...
    "trace": "PATH WEIGHT",
    "explain": "[RULE]",
    **dict.fromkeys(WRITERS, "PATH"),
}
HEAVY = ("torch", "numpy", "rich", "safetensors", "normcli.commands")


def imported(*arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "normcli", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == code
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


@pytest.mark.parametrize(
    "arguments", [["--help"], *([command, "--help"] for command in COMMANDS), ["--version"]]
)
def test_help_imports_nothing_heavy(arguments):
    assert not imported(*arguments) & set(HEAVY)


def test_ls_of_safetensors_imports_no_torch(model):
    assert not imported("ls", model) & {"torch", "numpy", "rich"}


@pytest.mark.parametrize("arguments", [["explain"], ["explain", "growth", "-f", "json"]])
def test_a_rule_is_explained_without_torch(arguments):
    assert not imported(*arguments) & {"torch", "numpy", "safetensors"}


@pytest.mark.parametrize(
    "option", ["--rtol=2", "--certificate=sworn", "--failure-probability=0", "--device=tpu"]
)
def test_a_bracket_that_cannot_be_meant_costs_no_import_of_torch(model, option):
    assert not imported("inspect", model, option, code=2) & {"torch", "numpy"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["apply"],
        ["apply", "--spectral", "--weight"],
        ["apply", "--spectral", "--layout=flat"],
        ["apply", "--spectral", "--rtol=2"],
        ["remove", "--sigma=guessed"],
        ["convert"],
        ["convert", "-o", "x.pt", "--max-shard-size=many"],
        ["refresh", "--in-place", "--force"],
        ["initialize"],
        ["initialize", "--model=nets:Net"],
        ["initialize", "--model=nets:Net", "--batch=x.npy", "--layout=flat"],
        ["initialize", "--model=nets:Net", "--batch=x.npy", "--model-args={"],
    ],
)
def test_a_rewriting_that_cannot_be_meant_costs_no_import_of_torch(model, arguments):
    assert not imported(*arguments, model, code=2) & {"torch", "numpy"}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_ends_with_examples(command, option):
    done = run(command, option)
    assert done.returncode == 0
    assert (
        f"Usage: normcli {command} [OPTIONS] {ARGUMENTS.get(command, 'PATH...')}\n" in done.stdout
    )
    *_, last = done.stdout.split("\n\n")
    assert last.startswith("Examples:\n")
    assert all(line.startswith(f"  normcli {command} ") for line in last.splitlines()[1:])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_not_wider_than_a_terminal(command):
    assert max(map(len, run(command, "--help", COLUMNS="80").stdout.splitlines())) <= 80


def test_every_command_is_listed():
    listed = run("--help").stdout
    assert all(f"\n  {command} " in listed for command in COMMANDS)
