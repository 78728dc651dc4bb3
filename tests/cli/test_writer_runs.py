"""The commands that write, through real processes and with real checkpoints."""

import csv
import hashlib
import io
import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from jsonschema import Draft202012Validator
from processes import COMMAND, environment, run, start
from safetensors.torch import load_file, save_file

SAMPLES = Path(__file__).parents[2] / "sample_checkpoints"
SCHEMA = Draft202012Validator(
    json.loads(files("normcli.render").joinpath("rewriting.schema.json").read_text("utf-8"))
)


@pytest.fixture
def hooked(tmp_path):
    """A legacy spectral norm with σ = 3 and the right vectors, and a bias."""
    path = tmp_path / "hooked.safetensors"
    tensors = {
        "fc.bias": torch.zeros(2),
        "fc.weight_orig": torch.tensor([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
        "fc.weight_u": torch.tensor([1.0, 0.0]),
        "fc.weight_v": torch.tensor([1.0, 0.0, 0.0]),
    }
    save_file(tensors, path)
    return path


@pytest.fixture
def folder(tmp_path):
    """A folder of shards."""
    return shutil.copytree(SAMPLES / "sngan-sharded", tmp_path / "sharded")


def done(*arguments, **more):
    """A run that went well; its streams."""
    finished = run(*arguments, **more)
    assert finished.returncode == 0, finished.stderr
    return finished


def test_the_path_on_standard_output_is_where_the_checkpoint_is(hooked):
    finished = done("remove", hooked, COLUMNS="500")
    path = Path(finished.stdout.removesuffix("\n"))
    assert path == hooked.with_name("hooked.plain.safetensors")
    assert torch.equal(load_file(path)["fc.weight"], load_file(hooked)["fc.weight_orig"] / 3)
    assert f"wrote {path} · " in finished.stderr
    assert "1 weight changed" in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "name", "keys"),
    [
        (["apply", "--spectral"], "model.spectral", {"b.parametrizations.weight.0._u"}),
        (["apply", "--spectral", "--layout", "legacy"], "model.spectral", {"b.weight_u"}),
        (["apply", "--spectral", "--layout", "plain"], "model.spectral", {"b.weight"}),
        (["apply", "--weight"], "model.weight", {"b.parametrizations.weight.original0"}),
        (["apply", "--weight", "--layout", "legacy"], "model.weight", {"b.weight_g"}),
    ],
)
def test_every_norm_in_every_layout_has_its_name_and_its_keys(model, arguments, name, keys):
    finished = done(*arguments, model)
    path = model.with_name(f"{name}.safetensors")
    assert finished.stdout == f"{path}\n"
    assert keys <= set(load_file(path))


def test_a_torch_file_is_a_torch_file_again_and_everything_else_in_it_stays(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"epoch": 3, "net": {"fc.weight": torch.eye(2, 3), "fc.bias": torch.ones(2)}}, path)
    target = tmp_path / "model.spectral.pt"
    assert done("apply", "--spectral", path).stdout == f"{target}\n"
    written = torch.load(target, weights_only=True)
    assert written["epoch"] == 3
    assert torch.equal(written["net"]["fc.bias"], torch.ones(2))
    assert torch.equal(written["net"]["fc.parametrizations.weight.original"], torch.eye(2, 3))


def test_refresh_and_convert_have_their_names(hooked):
    assert done("refresh", hooked).stdout == f"{hooked.with_name('hooked.refreshed.safetensors')}\n"
    new = hooked.with_name("new.safetensors")
    assert done("convert", hooked, "--layout", "parametrized", "-o", new).stdout == f"{new}\n"
    assert set(load_file(new)) == {
        "fc.bias",
        "fc.parametrizations.weight.original",
        "fc.parametrizations.weight.0._u",
        "fc.parametrizations.weight.0._v",
    }


def test_shards_become_a_folder(folder):
    finished = done("remove", folder)
    assert finished.stdout == f"{folder}.plain\n"
    assert sorted(path.name for path in Path(f"{folder}.plain").iterdir()) == sorted(
        path.name for path in folder.iterdir()
    )


def test_shards_have_the_size_that_was_asked_for(model):
    target = model.with_name("shards")
    done("convert", model, "-o", target, "--max-shard-size", "40B")
    assert len(list(target.glob("*.safetensors"))) > 1
    assert (target / "model.safetensors.index.json").is_file()


def test_the_receipt_names_the_bytes_of_both_ends(hooked):
    path = hooked.with_name("receipt.json")
    finished = done("remove", hooked, "--receipt", path)
    receipt = json.loads(path.read_text("utf-8"))
    SCHEMA.validate(receipt)
    output = Path(finished.stdout.strip())
    for end, file in ((receipt["input"], hooked), (receipt["output"], output)):
        assert end["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert end["bytes"] == file.stat().st_size
    (weight,) = receipt["weights"]
    assert weight["old_keys"] == ["fc.weight_orig", "fc.weight_u", "fc.weight_v"]
    assert weight["new_keys"] == ["fc.weight"]
    assert (weight["sigma_before"], weight["largest_change"]) == (3.0, 0.0)


@pytest.mark.parametrize(
    "arguments",
    [
        ["apply", "--weight", "classifier-bf16.safetensors"],
        ["apply", "--spectral", "classifier-bf16.safetensors", "--dim", "2.*=1", "--clip", "2"],
        ["remove", "sngan-sharded", "--include", "D.*"],
        ["remove", "sngan-sharded", "--sigma", "exact"],
        ["convert", "sngan-sharded", "--layout", "parametrized"],
        ["refresh", "sngan-sharded", "--iterations", "3"],
    ],
)
def test_json_of_real_checkpoints_conforms_planned_and_done(arguments, tmp_path):
    verb, *rest = arguments
    rest = [str(SAMPLES / each) if (SAMPLES / each).exists() else each for each in rest]
    rest += ["--layout", "plain"] * ("--clip" in rest)
    rest += ["-o", str(tmp_path / "out"), "-f", "json"]
    plan = json.loads(done(verb, *rest, "--dry-run").stdout)
    assert not (tmp_path / "out").exists()
    receipt = json.loads(done(verb, *rest).stdout)
    assert (tmp_path / "out").exists()
    for document, written in ((plan, False), (receipt, True)):
        SCHEMA.validate(document)
        assert document["written"] is written
    left = {each["name"] for each in receipt["left"]}
    kept = [each for each in plan["weights"] if each["name"] not in left]
    assert [each["new_keys"] for each in kept] == [each["new_keys"] for each in receipt["weights"]]


def test_plain_and_csv_say_what_json_says(hooked, tmp_path):
    options = ["remove", hooked, "--force"]
    (weight,) = json.loads(done(*options, "-f", "json").stdout)["weights"]
    (row,) = csv.DictReader(io.StringIO(done(*options, "-f", "csv").stdout))
    head, line = (each.split("\t") for each in done(*options, "-f", "plain").stdout.splitlines())
    assert float(row["sigma_before"]) == weight["sigma_before"]
    assert float(line[head.index("sigma_before")]) == weight["sigma_before"]
    assert (row["name"], row["dim"]) == ("fc.weight", "0")


def test_a_plan_writes_nothing(hooked):
    before = sorted(hooked.parent.iterdir())
    finished = done("remove", hooked, "--dry-run")
    assert finished.stdout.splitlines()[1].startswith("fc.weight\t2x3\tspectral legacy\tplain\t")
    assert "would write" in finished.stderr
    assert sorted(hooked.parent.iterdir()) == before


def test_in_place_replaces_the_input_itself(hooked):
    assert done("remove", hooked, "--in-place").stdout == f"{hooked}\n"
    assert set(load_file(hooked)) == {"fc.bias", "fc.weight"}
    assert list(hooked.parent.iterdir()) == [hooked]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["-o", "hooked.safetensors"], "is an input"),
        (["-o", "hooked.safetensors", "--force"], "is an input"),
        (["-o", "there.safetensors"], "there.safetensors: exists"),
        (["-o", "none/x.safetensors"], "folder"),
        (["--include", "fc.wieght"], "--include: 'fc.wieght' matches none"),
        (["--expect-sha256", "0" * 64], "expected"),
    ],
)
def test_what_cannot_be_written_ends_with_2_and_leaves_everything(hooked, options, sentence):
    (hooked.parent / "there.safetensors").write_bytes(b"there")
    before = {path: path.read_bytes() for path in hooked.parent.iterdir()}
    finished = run("remove", hooked, *options, cwd=hooked.parent)
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert sentence in finished.stderr
    assert len(finished.stderr.splitlines()) <= 2
    assert {path: path.read_bytes() for path in hooked.parent.iterdir()} == before


def test_standard_output_that_is_full_is_said_and_the_checkpoint_stays(hooked):
    finished = subprocess.run(
        ["/bin/sh", "-c", '"$@" >/dev/full', "sh", *COMMAND, "remove", "-q", str(hooked)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert finished.returncode == 2
    assert "standard output: " in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
    assert hooked.with_name("hooked.plain.safetensors").is_file()


def test_standard_error_that_is_closed_changes_nothing(hooked):
    finished = subprocess.run(
        ["/bin/sh", "-c", '"$@" 2>&-', "sh", *COMMAND, "remove", str(hooked)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert finished.returncode == 0
    assert finished.stdout == f"{hooked.with_name('hooked.plain.safetensors')}\n"


def test_a_broken_pipe_of_the_path_ends_with_141(hooked):
    process = start("remove", "-q", hooked)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 141


def test_an_ascii_locale_does_not_break_what_is_said(hooked):
    ascii_only = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    finished = done("remove", hooked, **ascii_only)
    assert finished.stderr.isascii()
    assert "hooked.safetensors ->" in finished.stderr


def test_two_runs_write_the_same_bytes_and_say_the_same(hooked):
    first = done("remove", hooked, "-o", hooked.with_name("a.safetensors"), "-j", "1")
    second = done("remove", hooked, "-o", hooked.with_name("b.safetensors"), "-j", "2")
    one, two = (hooked.with_name(f"{name}.safetensors").read_bytes() for name in "ab")
    assert one == two
    assert first.stderr.replace("a.safetensors", "b.safetensors") == second.stderr


def test_the_table_is_as_wide_as_it_is_told(folder):
    for width in (40, 80, 200):
        text = done("remove", folder, "-o", folder.with_name(f"w{width}"), COLUMNS=str(width))
        assert max(map(len, text.stderr.splitlines())) <= width
    assert folder.with_name("w40").is_dir()
