"""Models that do more than compute, and whatever they do: the whole output, or none."""

from __future__ import annotations

import json
from pathlib import Path

import fault_models
import pytest
import torch
from initialize_faults import BATCH, TRACE, content, given, line_of, told
from initialized_nets import assert_standard, read
from torch.nn.utils import weight_norm

from normcli.errors import ChangedError, OutputError, UsageError

torch.set_num_threads(1)

FAILING = {
    "FailsLater": "RuntimeError: out of luck",
    "FailsLast": "RuntimeError: out of time",
    "Exits": "SystemExit: 0",
}
CAUSES = {"FailsLater": "out of luck", "FailsLast": "out of time", "Exits": "SystemExit(0)"}


@pytest.mark.parametrize("name", FAILING)
def test_a_model_that_fails_while_it_runs(name, within_folder):
    ran = "the forward pass on input of shape (32, 6) failed"
    place = f"nets.py, line {line_of(CAUSES[name])}"
    said = f"batch.safetensors: {ran}: {FAILING[name]} ({place})"
    assert told(within_folder, model=f"nets:{name}") == (UsageError, said, TRACE)


def test_a_model_that_runs_another_way_the_second_time(within_folder):
    error, said, hint = told(within_folder, model="nets:Branches")
    assert error is UsageError
    assert said == (
        "in.pt: the model ran the layer of 'last.weight' once before its layers were initialized, "
        "then 2 times"
    )
    assert hint.endswith("--exclude 'last.weight'")


def test_a_model_that_is_interrupted(within_folder):
    before = content(within_folder)
    with pytest.raises(KeyboardInterrupt):
        given(model="nets:Interrupted")
    assert content(within_folder) == before


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Deletes", "vanished"),
        ("Damages", "changed"),
        ("Empties", "changed"),
        ("Replaces", "changed"),
    ],
)
def test_a_model_that_touches_the_checkpoint(name, found, dry_run, within_folder):
    before = set(content(within_folder))
    with pytest.raises(ChangedError, match=rf"^in\.pt: {found} while it was read: "):
        given(model=f"nets:{name}", dry_run=dry_run)
    assert set(content(within_folder)) == before - ({"in.pt"} if name == "Deletes" else set())


def test_a_model_that_puts_something_where_the_output_goes(within_folder):
    with pytest.raises(OutputError) as caught:
        given(model="nets:Writes")
    assert str(caught.value) == "out.pt: exists"
    assert (within_folder / "out.pt").read_bytes() == b"mine"


def test_a_model_that_takes_the_folder_of_the_output_away(within_folder):
    (within_folder / "folder").mkdir()
    with pytest.raises(OutputError) as caught:
        given(model="nets:Clears", output="folder/out.pt")
    assert str(caught.value) == "folder/out.pt: its folder does not exist"


def _assert_written(folder):
    net = fault_models.Within()
    net.load_state_dict(read(folder / "out.pt"))
    assert_standard(net, BATCH)


@pytest.mark.parametrize("name", ["Moves", "moves"])
def test_a_model_that_goes_elsewhere_does_not_take_the_output_with_it(name, within_folder):
    told = given(model=f"nets:{name}")
    assert told.output == "out.pt"
    assert Path.cwd() == within_folder
    _assert_written(within_folder)


def test_a_model_that_prints(within_folder, capsys):
    given(model="nets:Prints")
    assert capsys.readouterr().out == 3 * "noise\n"
    _assert_written(within_folder)


def test_a_model_that_changes_the_default_dtype(within_folder):
    try:
        given(model="nets:settles")
    finally:
        torch.set_default_dtype(torch.float32)
    _assert_written(within_folder)


def test_a_model_of_the_caller_is_as_good(within_folder):
    net = fault_models.Within()
    weight_norm(net.first)
    before = content(within_folder)
    told = given(model=net)
    assert told.options["model"] == "Within"
    assert json.dumps(told.to_dict())
    _assert_written(within_folder)
    assert {**content(within_folder), "out.pt": b""} == {**before, "out.pt": b""}
