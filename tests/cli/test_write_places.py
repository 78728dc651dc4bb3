"""Where a checkpoint may be written to, and what is never replaced."""

import os
import stat
from pathlib import Path

import pytest
import torch
from outputs import OLD, assert_refused, names
from processes import run
from safetensors.torch import load_file


@pytest.mark.parametrize("spelling", ["path", "dot", "hard link", "symbolic link", "link to link"])
def test_an_output_that_is_the_input_is_refused_even_with_force(small, spelling):
    folder = small.parent
    os.link(small, folder / "hard.pt")
    (folder / "soft.pt").symlink_to("model.pt")
    (folder / "softer.pt").symlink_to("soft.pt")
    output = {
        "path": small,
        "dot": "./model.pt",
        "hard link": "hard.pt",
        "symbolic link": "soft.pt",
        "link to link": "softer.pt",
    }[spelling]
    before, bytes_before = names(folder), small.read_bytes()
    done = run("apply", "--weight", "model.pt", "-o", output, "--force", cwd=folder)
    assert_refused(done, "is an input; normcli does not write over it", "--in-place")
    assert names(folder) == before
    assert small.read_bytes() == bytes_before


@pytest.mark.parametrize("kind", ["folder", "fifo", "device", "link to device"])
def test_an_output_that_is_not_a_file_is_refused_even_with_force(small, tmp_path, kind):
    output = tmp_path / "out.pt"
    if kind == "folder":
        output.mkdir()
        (output / "mine").write_bytes(OLD)
    elif kind == "fifo":
        os.mkfifo(output)
    else:
        output = Path("/dev/full")
    if kind == "link to device":
        output = tmp_path / "out.pt"
        output.symlink_to("/dev/full")
    kind_before = output.lstat().st_mode
    assert_refused(run("apply", "--weight", small, "-o", output, "--force"), str(output))
    assert output.lstat().st_mode == kind_before
    assert names(small.parent) == ["model.pt"]


def test_an_output_that_exists_needs_force(small):
    output = small.with_name("out.safetensors")
    output.write_bytes(OLD)
    output.chmod(0o640)
    assert_refused(run("convert", small, "-o", output), "exists", "--force")
    assert output.read_bytes() == OLD
    assert run("convert", small, "-o", output, "--force").returncode == 0
    assert load_file(output).keys() == torch.load(small).keys()
    assert stat.S_IMODE(output.stat().st_mode) == 0o640
    assert names(small.parent) == ["model.pt", "out.safetensors"]


def test_a_default_output_that_exists_needs_force(small):
    output = small.with_name("model.weight.pt")
    output.write_bytes(OLD)
    assert_refused(run("apply", "--weight", small), "model.weight.pt: exists", "--force")
    assert output.read_bytes() == OLD
    assert run("apply", "--weight", small, "--force").returncode == 0
    assert "0.parametrizations.weight.original0" in torch.load(output)


def test_a_link_that_is_replaced_leaves_what_it_led_to(small):
    (small.parent / "far").write_bytes(OLD)
    output = small.with_name("out.safetensors")
    output.symlink_to("far")
    assert run("convert", small, "-o", output, "--force").returncode == 0
    assert (small.parent / "far").read_bytes() == OLD
    assert not output.is_symlink()
    assert load_file(output).keys() == torch.load(small).keys()


def test_in_place_keeps_the_mode_and_the_other_name(small):
    other = small.with_name("other.pt")
    os.link(small, other)
    small.chmod(0o600)
    before = small.read_bytes()
    assert run("apply", "--weight", small, "--in-place").returncode == 0
    assert "0.parametrizations.weight.original0" in torch.load(small)
    assert stat.S_IMODE(small.stat().st_mode) == 0o600
    assert other.read_bytes() == before
    assert names(small.parent) == ["model.pt", "other.pt"]


def test_in_place_replaces_the_file_behind_a_link(small, tmp_path):
    link = tmp_path / "link.pt"
    link.symlink_to(small)
    assert run("apply", "--weight", link, "--in-place").returncode == 0
    assert link.is_symlink()
    assert "0.parametrizations.weight.original0" in torch.load(small)
    assert names(tmp_path) == ["here", "link.pt"]


@pytest.mark.parametrize("more", [["-o", "out.pt"], ["--force"]])
def test_in_place_stands_alone(small, more):
    before = small.read_bytes()
    done = run("apply", "--weight", "model.pt", "--in-place", *more, cwd=small.parent)
    assert_refused(done, "--in-place")
    assert small.read_bytes() == before
    assert names(small.parent) == ["model.pt"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["apply", "--weight"],
        ["apply", "--weight", "-o", "out.pt"],
        ["apply", "--weight", "--in-place"],
        ["convert", "-o", "out.safetensors"],
        ["convert", "-o", "new", "--max-shard-size", "1kB"],
    ],
)
def test_a_dry_run_writes_nothing(small, arguments):
    before = small.read_bytes()
    done = run(*arguments, "model.pt", "--dry-run", cwd=small.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout != ""
    assert names(small.parent) == ["model.pt"]
    assert small.read_bytes() == before
