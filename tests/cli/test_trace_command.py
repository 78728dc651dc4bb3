"""`normcli trace` through real processes: formats, places, exit codes, and what is said."""

import csv
import io
import json
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from jsonschema import Draft202012Validator
from processes import run

from normcli.render import FORMATS

SAMPLES = Path(__file__).parents[2] / "sample_checkpoints"
WEIGHTS = [
    ("sngan.pt", "D/conv2.weight"),
    ("sngan.pt", "up.weight"),
    ("sngan-parametrized.pt", "G.mix.weight"),
    ("sngan-defect.pt", "G/out.weight"),
    ("sngan-sharded", "D.fc.weight"),
    ("classifier-bf16.safetensors", "2.weight"),
]


@pytest.mark.parametrize(("name", "weight"), WEIGHTS)
def test_json_of_real_checkpoints_conforms(name, weight):
    done = run("trace", SAMPLES / name, weight, "-f", "json", "--iterations", "3")
    assert (done.returncode, done.stderr) == (0, "")
    schema = json.loads(files("normcli.render").joinpath("trace.schema.json").read_text("utf-8"))
    document = json.loads(done.stdout)
    Draft202012Validator(schema).validate(document)
    assert [each["n"] for each in document["iterations"]] == [1, 2, 3]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_that_is_promised_is_written(name, model, tmp_path):
    path = tmp_path / "trace.out"
    done = run("trace", model, "b.weight", "-f", name, "-o", path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert path.read_text(encoding="utf-8").count("\n") > 20


def test_the_numbers_reach_the_user(model):
    done = run("trace", model, "b.weight", "--format", "csv", "--iterations", "40")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 41
    assert float(rows[-1]["value"]) == pytest.approx(3.0, rel=1e-6)
    assert float(rows[-1]["relative_error"]) == pytest.approx(0.0, abs=1e-6)


def test_a_pipe_gets_plain_text(model):
    done = run("trace", model, "b.weight", "--iterations", "0")
    assert done.stdout.splitlines()[0] == "n\tvalue\trelative_error"
    assert len(done.stdout.splitlines()) == 2


def test_the_seed_is_that_of_the_random_start(model):
    values = {
        run("trace", model, "b.weight", "--seed", n, "--iterations", "1").stdout for n in "11"
    }
    others = {
        run("trace", model, "b.weight", "--seed", n, "--iterations", "1").stdout for n in "12"
    }
    assert (len(values), len(others)) == (1, 2)


def test_a_further_output_of_the_same_pass(model, tmp_path):
    path = tmp_path / "trace.json"
    done = run("trace", model, "b.weight", "--report", f"json={path}", "-f", "table", COLUMNS="80")
    assert "exact σ₁ 3.00000" in done.stdout
    assert json.loads(path.read_text())["spectral_norm"]["value"] == pytest.approx(3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "missing argument 'PATH'"),
        (["x"], "missing argument 'WEIGHT'"),
        (["x", "y", "z"], "unexpected extra argument"),
        (["x", "y", "--iteration", "3"], "did you mean '--iterations'?"),
        (["x", "y", "--iterations", "-1"], "--iterations: should be greater than or equal to 0"),
        (["x", "y", "--format", "svg"], "--format: no format is called 'svg'"),
        (["x", "y", "--rtol", "2"], "--rtol: 2.0 is not between 0 and 1"),
        (["x", "y", "--certificate", "sure"], "--certificate: no certificate is called 'sure'"),
        (["x", "y", "--dim", "y"], "--dim: 'y' is not GLOB=AXIS"),
        (["x", "y", "--expect-sha256", "0"], "is not 64 hexadecimal digits"),
        (["none.pt", "y"], "none.pt: no such file"),
    ],
)
def test_what_cannot_be_meant_ends_with_2(arguments, sentence):
    assert_refused(run("trace", *arguments), sentence)


def assert_refused(done, sentence):
    assert done.returncode == 2
    assert done.stdout == ""
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.parametrize(
    ("weight", "sentence"),
    [
        ("b.wieght", "hint: did you mean 'b.weight'?"),
        ("a.bias", "'a.bias' has shape (4,), expected two axes or more"),
    ],
)
def test_a_weight_that_is_not_there_ends_with_2(model, weight, sentence):
    assert_refused(run("trace", model, weight), sentence)


def test_a_key_of_two_sections_names_both(tmp_path):
    torch.save(
        {"G": {"w.weight": torch.eye(2)}, "D": {"w.weight": torch.eye(2)}}, tmp_path / "m.pt"
    )
    done = run("trace", tmp_path / "m.pt", "w.weight")
    assert_refused(done, "'w.weight' stands in 2 sections: 'G/w.weight', 'D/w.weight'")


def test_an_input_is_never_written_over(model):
    before = model.read_bytes()
    done = run("trace", model, "b.weight", "-o", model, "--force")
    assert_refused(done, "is an input; normcli does not write over it")
    assert model.read_bytes() == before


def test_an_encoding_without_blocks_gets_ascii(model):
    done = run("trace", model, "b.weight", "-f", "table", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "exact sigma1 3.00000" in done.stdout
