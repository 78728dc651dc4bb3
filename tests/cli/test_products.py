"""Outputs: where they go, what they never replace, and that they are whole or not there."""

import csv
import io
import json
import os
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from jsonschema import Draft202012Validator
from processes import run

SAMPLES = Path(__file__).parents[2] / "sample_checkpoints"


def schema(name):
    text = files("normcli.render").joinpath(f"{name}.schema.json").read_text("utf-8")
    return Draft202012Validator(json.loads(text))


def test_json_of_real_checkpoints_conforms():
    paths = sorted(p for p in SAMPLES.iterdir() if p.suffix in (".pt", ".safetensors"))
    done = run("inspect", *paths, "-f", "json", "--all")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    schema("report").validate(document)
    assert all(len(each["sha256"]) == 64 for each in document["checkpoints"])


def test_json_of_a_listing_conforms():
    paths = sorted(p for p in SAMPLES.iterdir() if p.suffix in (".pt", ".safetensors"))
    done = run("ls", *paths, "-f", "json", "--all")
    assert done.returncode == 0, done.stderr
    schema("listing").validate(json.loads(done.stdout))


def test_the_numbers_reach_the_user(model):
    rows = list(csv.DictReader(io.StringIO(run("inspect", model, "-f", "csv").stdout)))
    assert [row["name"] for row in rows] == ["a.weight", "b.weight", "c.weight"]
    assert float(rows[1]["spectral_norm"]) == pytest.approx(3.0, rel=1e-6)
    assert float(rows[2]["frobenius"]) == pytest.approx(24**0.5, rel=1e-12)


def test_only_the_metrics_asked_for_are_there(model):
    done = run("inspect", model, "-f", "json", "--metrics", "frobenius")
    weight = json.loads(done.stdout)["checkpoints"][0]["weights"][0]
    assert "frobenius" in weight
    assert not {"spectral_norm", "power_iteration", "stable_rank", "nan"} & set(weight)


def test_sort_limit_and_columns(model):
    options = ["--sort", "spectral_norm:desc", "--limit", "2", "--columns", "name,shape"]
    lines = run("inspect", model, *options).stdout.splitlines()
    assert lines == ["name\tshape", "c.weight\t2x3", "b.weight\t2x2"]


def test_a_stream_of_jsonl_is_what_the_document_would_be(model):
    streamed = run("inspect", model, model, "-f", "jsonl").stdout
    sorted_ = run("inspect", model, model, "-f", "jsonl", "--sort", "name").stdout
    assert streamed == sorted_
    assert len(streamed.splitlines()) == 6


def test_one_pass_writes_several_reports(model, tmp_path):
    table, data = tmp_path / "norms.md", tmp_path / "norms.json"
    done = run("ls", model, "--report", f"markdown={table}", "--report", f"json={data}")
    assert done.returncode == 0
    assert done.stdout.startswith("name\t")
    assert table.read_text().startswith("### ")
    schema("listing").validate(json.loads(data.read_text()))


@pytest.mark.parametrize(
    ("name", "start"),
    [("x.json", "{"), ("x.csv", "path,"), ("x.md", "#"), ("x.jsonl", '{"path"'), ("x", "name\t")],
)
def test_the_suffix_of_a_file_chooses_its_format(model, tmp_path, name, start):
    target = tmp_path / name
    done = run("ls", model, "-o", target)
    assert (done.returncode, done.stdout) == (0, "")
    assert target.read_text().startswith(start)


def test_a_dash_is_standard_output(model):
    assert run("ls", model, "-o", "-").stdout == run("ls", model).stdout


def test_an_existing_file_needs_force(model, tmp_path):
    target = tmp_path / "norms.csv"
    target.write_text("mine")
    done = run("ls", model, "-o", target)
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert target.read_text() == "mine"
    assert run("ls", model, "-o", target, "--force").returncode == 0
    assert target.read_text().startswith("path,")


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_an_input_is_never_written_over(model, tmp_path, link):
    target = model
    if link is not None:
        target = tmp_path / "link.csv"
        link(model, target)
    before = model.read_bytes()
    done = run("ls", model, "-o", target, "--force")
    assert done.returncode == 2
    assert "is an input" in done.stderr
    assert model.read_bytes() == before


def test_a_file_named_like_a_checkpoint_is_never_written_over(model, tmp_path):
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"weights")
    assert run("ls", model, "-o", other, "--force").returncode == 2
    assert other.read_bytes() == b"weights"


@pytest.mark.parametrize("place", [".", "/dev/null", "none/x.csv"])
def test_a_place_for_no_file_is_refused_before_anything_is_read(tmp_path, place):
    done = run("ls", "not-there.pt", "-o", place, "--force", cwd=tmp_path)
    assert done.returncode == 2
    assert "not-there" not in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--report", "json=-"],
        ["-o", "x.csv", "--report", "json=./x.csv"],
        ["--report", "csv=x", "--report", "json=x"],
    ],
)
def test_two_outputs_need_two_places(model, tmp_path, options):
    done = run("ls", model, *options, cwd=tmp_path)
    assert done.returncode == 2
    assert "is named for two outputs" in done.stderr


def test_the_job_summary_is_added_to(model, tmp_path):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    done = run("ls", model, "--report", f"markdown={summary}", GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == 0, done.stderr
    assert summary.read_text().startswith("before\n### ")


def test_nothing_is_left_behind(model, tmp_path):
    assert run("ls", model, "-o", tmp_path / "norms.csv").returncode == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.safetensors", "norms.csv"]


def test_nothing_is_written_where_nothing_could_be_read(tmp_path):
    target = tmp_path / "norms.json"
    assert run("ls", tmp_path / "none.pt", "-o", target).returncode == 2
    assert not target.exists()


def test_a_file_gets_the_mode_that_the_umask_leaves(model, tmp_path):
    target = tmp_path / "norms.csv"
    run("ls", model, "-o", target)
    mask = os.umask(0)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_pin_refuses_any_other_file(model):
    done = run("inspect", model, "--expect-sha256", "0" * 64)
    assert done.returncode == 2
    assert done.stdout == ""


def test_hostile_names_stay_letters(tmp_path):
    path = tmp_path / "hostile.pt"
    torch.save({"a\x1b]0;owned\x07\u202e[red]": torch.eye(2)}, path)
    for form in ("table", "plain", "csv", "markdown", "json", "jsonl"):
        done = run("inspect", path, "-f", form, "--color", "never")
        assert done.returncode == 0
        assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout)
    assert '"a\\u001b]0;owned\\u0007\\u202e[red]"' in done.stdout
