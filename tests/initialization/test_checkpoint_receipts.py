"""The receipt of an initialized checkpoint: a plan, the numbers, the batch, the options."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from importlib.resources import files

import numpy as np
import pytest
import torch
from initialized_nets import (
    assert_standard,
    batch_of,
    drawn,
    initialized,
    mlp,
    saved,
    sha256,
)
from jsonschema import Draft202012Validator
from safetensors.torch import save_file
from torch import nn

from normcli.commands.initialize_checkpoint import initialize_checkpoint
from normcli.render import Page
from normcli.render.rewriting import RewritingDocument
from normcli.render.rewriting_formats import REWRITING_FORMATS

torch.set_num_threads(1)

SCHEMA = Draft202012Validator(
    json.loads(files("normcli.render").joinpath("rewriting.schema.json").read_text("utf-8"))
)
BATCH = batch_of("mlp")


def test_a_plan_has_the_numbers_and_writes_nothing(tmp_path):
    path = saved(drawn("mlp", "legacy").state_dict(), tmp_path / "net.pt")
    save_file({"input": BATCH}, tmp_path / "batch.safetensors")
    names, before = sorted(tmp_path.iterdir()), sha256(path)
    options = {"batch": tmp_path / "batch.safetensors", "output": tmp_path / "out.pt"}
    plan = initialize_checkpoint(
        path, model=drawn("mlp", "legacy", seed=3), dry_run=True, **options
    )
    assert (sorted(tmp_path.iterdir()), sha256(path)) == (names, before)
    done = initialize_checkpoint(path, model=drawn("mlp", "legacy", seed=3), **options)
    assert (plan.written, done.written) == (False, True)
    assert plan.changes == done.changes
    assert plan.steps == done.steps
    assert [each.nbytes for each in plan.output_files] == [
        each.nbytes for each in done.output_files
    ]


def _effective(state, path):
    """g·v/‖v‖ over all axes but the first, in float64."""
    if f"{path}.weight" in state:
        return state[f"{path}.weight"].double().numpy()
    chain = f"{path}.parametrizations.weight.original"
    names = (f"{path}.weight_g", f"{path}.weight_v")
    g, v = (
        state[name].double().numpy()
        for name in (names if names[0] in state else (f"{chain}0", f"{chain}1"))
    )
    return g * v / np.sqrt((v**2).sum(axis=tuple(range(1, v.ndim)), keepdims=True))


@pytest.mark.parametrize("layout", [None, "legacy", "parametrized", "plain"])
@pytest.mark.parametrize("form", ["plain", "legacy", "parametrized"])
def test_the_largest_change_is_that_of_the_effective_weight(form, layout, tmp_path):
    before = drawn("convnet", form).state_dict()
    told, after = initialized(
        tmp_path, before, drawn("convnet", form, seed=3), batch_of("convnet"), layout=layout
    )
    assert len(told.changes) == 3
    for name, change in told.changes.items():
        path = name.removesuffix(".weight")
        expected = np.abs(_effective(after, path) - _effective(before, path)).max()
        assert change.largest_change == pytest.approx(expected, rel=1e-5)


def _text(told):
    out = io.StringIO()
    REWRITING_FORMATS["json"](RewritingDocument(told, "1.2.3"), Page(out))
    return out.getvalue()


def _forget(monkeypatch):
    """Let the module be imported anew, from this test's folder, and not be left behind."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "receipt_nets", None)
    del sys.modules["receipt_nets"]  # gone again when the test ends


NETS = """
from torch import nn

def build(width, depth=1, *, bias=True):
    hidden = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), *hidden, nn.Linear(width, 4, bias=bias))
"""


@pytest.mark.parametrize("arguments", [[7, 2], {"width": 7, "depth": 2, "bias": True}])
def test_the_receipt_is_what_its_schema_says(arguments, tmp_path, monkeypatch):
    (tmp_path / "receipt_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    _forget(monkeypatch)
    torch.manual_seed(1)
    hidden = [nn.Linear(7, 7), nn.ReLU(), nn.Linear(7, 7), nn.ReLU()]
    net = nn.Sequential(nn.Linear(6, 7), nn.ReLU(), *hidden, nn.Linear(7, 4))
    told, after = initialized(
        tmp_path,
        {"net": net.state_dict(), "epoch": 3},
        "receipt_nets:build",
        BATCH,
        model_args=arguments,
        training=True,
        seed=5,
        exclude=["net/6.*"],
    )
    receipt = json.loads(_text(told))
    SCHEMA.validate(receipt)
    batch = tmp_path / "batch.safetensors"
    content = batch.read_bytes()
    assert receipt["batch"] == {
        "path": str(batch),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert receipt["options"] == {
        "model": "receipt_nets:build",
        "model_args": arguments,
        "batch": str(batch),
        "training": True,
        "seed": 5,
        "exclude": ["net/6.*"],
    }
    assert [each["name"] for each in receipt["weights"]] == [
        f"net/{index}.weight" for index in (0, 2, 4)
    ]
    assert all(each["layer"]["kind"] == "Linear" for each in receipt["weights"])
    net.load_state_dict(after["net"])
    assert_standard(net, BATCH, ["0", "2", "4"])


def test_arguments_that_are_no_json_are_told_as_they_show_themselves(tmp_path, monkeypatch):
    (tmp_path / "receipt_nets.py").write_text(NETS.replace("*, bias", "act=nn.ReLU, bias"))
    monkeypatch.chdir(tmp_path)
    _forget(monkeypatch)
    told, _ = initialized(
        tmp_path,
        nn.Sequential(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 4)).state_dict(),
        "receipt_nets:build",
        BATCH,
        model_args=(7, 0, nn.ReLU),
    )
    assert json.loads(_text(told))["options"]["model_args"] == [7, 0, repr(nn.ReLU)]


def test_without_hashes_there_is_none_and_no_largest_change(tmp_path):
    told, after = initialized(tmp_path, mlp().state_dict(), mlp(), BATCH, sha256=False)
    assert {each.sha256 for each in (told.batch, *told.files, *told.output_files)} == {""}
    assert {change.largest_change for change in told.changes.values()} == {None}
    net = mlp()
    net.load_state_dict(after)
    assert_standard(net, BATCH)
