"""The commands that write, as typer reads them: what all share, and where each option stands."""

from dataclasses import fields
from inspect import Parameter, getdoc, signature
from typing import get_type_hints

import pytest
from typer.main import get_command

from normcli.cli.app import COMMANDS, build
from normcli.cli.writer import writer
from normcli.cli.writing import Writing

WRITERS = ("apply", "remove", "convert", "refresh", "initialize")
SHARED = [field.name for field in fields(Writing)]
OWN = {
    "apply": {
        "spectral", "weight", "layout", "stack", "iterations", "coefficient", "clip", "seed",
        "rtol",
    },
    "remove": {"sigma", "restore"},
    "convert": {"layout", "max_shard_size"},
    "refresh": {"iterations", "rtol"},
    "initialize": {
        "model", "model_args", "batch", "section", "prefix", "train", "seed", "layout", "strict",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_typer_sees_every_shared_option_in_one_order_and_those_of_the_command(name):
    seen = [each.name for each in get_command(build()).commands[name].params]
    assert [each for each in seen if each in SHARED] == SHARED
    assert set(seen) - set(SHARED) == OWN[name]


@pytest.mark.parametrize("name", WRITERS)
def test_a_command_has_the_types_and_the_defaults_of_the_shared_options(name):
    parameters, hints = signature(COMMANDS[name]).parameters, get_type_hints(COMMANDS[name])
    types = get_type_hints(Writing, include_extras=True)
    assert {each: parameters[each].annotation for each in SHARED} == types
    assert {each: hints[each] for each in SHARED} == get_type_hints(Writing)
    path, *rest = (parameters[each].default for each in SHARED)
    assert path is Parameter.empty
    blank = Writing("")
    assert rest == [getattr(blank, each) for each in SHARED[1:]]


@pytest.mark.parametrize(
    ("name", "neighbours"),
    [
        ("apply", ["exclude", "seed", "rtol", "dims"]),
        ("refresh", ["exclude", "rtol", "dims"]),
        ("convert", ["dry_run", "max_shard_size", "allow_nonfinite"]),
        ("remove", ["path", "sigma", "restore", "output"]),
        ("initialize", ["path", "model", "model_args", "batch"]),
    ],
)
def test_an_option_of_one_command_stands_beside_those_of_its_subject(name, neighbours):
    seen = list(signature(COMMANDS[name]).parameters)
    start = seen.index(neighbours[0])
    assert seen[start : start + len(neighbours)] == neighbours


def test_a_command_keeps_the_name_and_the_page_of_its_function():
    def shrink(_: Writing, *, much: bool = False):
        """Make it smaller."""

    command = writer(shrink)
    assert (command.__name__, getdoc(command)) == ("shrink", "Make it smaller.")


def test_an_option_cannot_take_the_name_of_a_shared_one():
    def shrink(_: Writing, *, force: bool = False):
        """Make it smaller."""

    with pytest.raises(ValueError, match="duplicate parameter name: 'force'"):
        writer(shrink)
