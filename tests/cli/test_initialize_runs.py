"""`normcli initialize` as a user runs it: a module of their own, and what is left of its noise."""

import hashlib
import json
import signal
import subprocess
from importlib.resources import files

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator
from processes import COMMAND, environment, run
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)
SCHEMA = Draft202012Validator(
    json.loads(files("normcli.render").joinpath("rewriting.schema.json").read_text("utf-8"))
)
NETS = """
import os, subprocess, sys
from torch import nn

print("imported")

def build(width=16):
    print("built")
    os.write(1, b"descriptor\\n")
    subprocess.run([sys.executable, "-c", "print('child')"], check=True)
    return nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 4))

class Loud(nn.Sequential):
    def __init__(self):
        super().__init__(*build())

    def forward(self, input):
        print("forward")
        return super().forward(input)

class Hung(Loud):
    def forward(self, input):
        print("hangs", flush=True)
        os.read(0, 1)

class Quits(Loud):
    def forward(self, input):
        sys.exit(0)
"""
NOISE = {"imported", "built", "descriptor", "child", "forward"}


def network():
    return torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))


@pytest.fixture
def folder(tmp_path):
    """A module, a checkpoint and a batch for it."""
    torch.manual_seed(3)
    (tmp_path / "nets.py").write_text(NETS)
    save_file(network().state_dict(), tmp_path / "net.safetensors")
    np.save(tmp_path / "x.npy", torch.randn(64, 8).numpy())
    return tmp_path


def initialize(folder, *options, model="nets:Loud", **more):
    batch = ["--batch", "x.npy"]
    return run(
        "initialize", "net.safetensors", "--model", model, *batch, *options, cwd=folder, **more
    )


def outputs(state, batch):
    """What each of both layers gives."""
    model = network()
    model.load_state_dict(state)
    with torch.no_grad():
        first = model[0](batch)
        return first, model[2](model[1](first))


def test_every_layer_gives_mean_0_and_deviation_1_on_the_batch(folder):
    done = initialize(folder)
    assert (done.returncode, done.stdout) == (0, "net.initialized.safetensors\n"), done.stderr
    assert "2 layers initialized" in done.stderr
    batch = torch.from_numpy(np.load(folder / "x.npy"))
    for output in outputs(load_file(folder / "net.initialized.safetensors"), batch):
        assert output.mean(0).abs().max() < 1e-5
        assert (output.std(0, unbiased=False) - 1).abs().max() < 1e-5


@pytest.mark.parametrize("form", ["path", "json", "csv"])
def test_what_the_module_writes_is_beside_the_results(folder, form):
    done = initialize(folder, *(["-f", form] if form != "path" else []))
    assert done.returncode == 0, done.stderr
    assert set(done.stderr.splitlines()) >= NOISE
    assert not NOISE & set(done.stdout.splitlines())
    if form == "json":
        SCHEMA.validate(json.loads(done.stdout))


def test_where_standard_error_is_closed_standard_output_is_the_path(folder):
    line = [*COMMAND, "initialize", "net.safetensors", "--model", "nets:Loud", "--batch", "x.npy"]
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" 2>&-', "sh", *line],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(),
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "net.initialized.safetensors\n")


def test_the_receipt_has_the_batch_and_the_moments_of_every_layer(folder):
    batch = torch.from_numpy(np.load(folder / "x.npy"))
    before = outputs(load_file(folder / "net.safetensors"), batch)
    assert initialize(folder, "--receipt", "r.json").returncode == 0
    receipt = json.loads((folder / "r.json").read_text("utf-8"))
    SCHEMA.validate(receipt)
    content = (folder / "x.npy").read_bytes()
    assert receipt["batch"] == {
        "path": "x.npy",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert [each["name"] for each in receipt["weights"]] == ["0.weight", "2.weight"]
    layer = receipt["weights"][0]["layer"]
    assert (layer["kind"], layer["units"], layer["count"]) == ("Linear", 16, 64)
    std = before[0].double().std(0, unbiased=False)
    assert layer["std_before"]["lowest"] == pytest.approx(float(std.min()), rel=1e-5)
    assert layer["std_before"]["highest"] == pytest.approx(float(std.max()), rel=1e-5)


def test_a_plan_writes_nothing(folder):
    before = sorted(each.name for each in folder.iterdir())
    done = initialize(folder, "--dry-run", PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith("0.weight\t16x8\t")
    assert sorted(each.name for each in folder.iterdir()) == before


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("nest:Loud", "no module is called 'nest'"),
        ("nets:Lout", "has no attribute 'Lout'"),
        ("nets:Quits", "SystemExit: 0"),
    ],
)
def test_a_model_that_fails_ends_with_2_and_writes_nothing(folder, model, sentence):
    done = initialize(folder, model=model)
    assert (done.returncode, done.stdout) == (2, "")
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("normcli: ")]
    assert sentence in said
    assert not (folder / "net.initialized.safetensors").exists()


def test_another_size_of_the_model_is_said(folder):
    done = initialize(folder, "--model-args", '{"width": 32}', model="nets:build")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the model's has (32" in done.stderr
    assert not (folder / "net.initialized.safetensors").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_model_runs_ends_the_program(folder, number):
    line = [*COMMAND, "initialize", "net.safetensors", "--model", "nets:Hung", "--batch", "x.npy"]
    process = subprocess.Popen(
        line,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environment(),
    )
    while b"hangs" not in (said := process.stderr.readline()):
        assert said, process.returncode
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (128 + number, b"", b"")
    assert not list(folder.glob("*initialized*"))
