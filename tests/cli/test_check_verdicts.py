"""`normcli check`: what passes, what fails, what cannot be read; through real processes."""

import json

import pytest
import torch
from gated import LIMIT, broken, policy, sound
from processes import run


@pytest.fixture
def good(tmp_path):
    return sound(tmp_path / "good.safetensors")


@pytest.fixture
def bad(tmp_path):
    return broken(tmp_path / "bad.safetensors")


def test_a_sound_checkpoint_passes_with_0_and_a_summary(good, tmp_path):
    done = run("check", good, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "passed" in done.stdout
    assert "good.safetensors" in done.stdout


def test_a_finding_of_the_built_in_policy_ends_with_1(bad, tmp_path):
    done = run("check", bad, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "fc.weight" in done.stdout
    assert "[finite]" in done.stdout


def test_one_finding_among_several_checkpoints_fails_them_all(good, bad, tmp_path):
    done = run("check", good, bad, good, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.count("good.safetensors") == 2


@pytest.mark.parametrize("first", ["good", "bad"])
def test_what_cannot_be_read_ends_with_2_whatever_else_was_found(good, bad, first, tmp_path):
    junk = tmp_path / "junk.pt"
    junk.write_bytes(b"junk")
    other = {"good": good, "bad": bad}[first]
    for paths in ([junk, other], [other, junk], [other, tmp_path / "none.pt"]):
        done = run("check", *paths, cwd=tmp_path)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith("normcli: ")
        assert other.name in done.stdout


def test_a_folder_of_several_checkpoints_is_not_one(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    sound(folder / "a.safetensors")
    sound(folder / "b.safetensors")
    assert run("check", folder, cwd=tmp_path).returncode == 2


def test_fail_on_says_which_findings_count(tmp_path):
    path = tmp_path / "zero.pt"
    torch.save({"fc.weight": torch.zeros(2, 2)}, path)
    codes = {
        level: run("check", path, "--fail-on", level, cwd=tmp_path).returncode
        for level in ("error", "warning", "never")
    }
    assert codes == {"error": 0, "warning": 1, "never": 0}


def test_fail_on_never_does_not_pass_what_cannot_be_read(good, tmp_path):
    done = run("check", good, tmp_path / "none.pt", "--fail-on", "never", cwd=tmp_path)
    assert done.returncode == 2


def test_foreign_objects_are_a_finding_and_the_tensors_are_measured(tmp_path):
    from argparse import Namespace

    path = tmp_path / "lightning.pt"
    torch.save({"state_dict": {"fc.weight": torch.eye(2)}, "args": Namespace(x=1)}, path)
    done = run("check", path, "-f", "json", cwd=tmp_path)
    assert done.returncode == 1
    (checkpoint,) = json.loads(done.stdout)["checkpoints"]
    assert {each["rule"] for each in checkpoint["findings"]} == {"foreign-objects"}
    assert checkpoint["opaque"][0]["what"] == "argparse.Namespace"


def test_a_limit_is_held_against_the_exact_norm(good, tmp_path):
    for limit, code in ((3.001, 0), (2.999, 1)):
        file = policy(tmp_path / f"{limit}.toml", LIMIT.format(limit))
        assert run("check", good, "--policy", file, cwd=tmp_path).returncode == code


def test_the_file_that_was_pinned_is_the_only_one(good, tmp_path):
    from hashlib import sha256

    digest = sha256(good.read_bytes()).hexdigest()
    assert run("check", good, "--expect-sha256", digest, cwd=tmp_path).returncode == 0
    assert run("check", good, "--expect-sha256", "0" * 64, cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_with_128_and_its_number(name, tmp_path):
    import os
    import signal

    from outputs import names
    from processes import start

    os.mkfifo(tmp_path / "policy.toml")  # opening it waits until somebody writes to it
    process = start(
        "check", sound(tmp_path / "a.safetensors"), "--policy", tmp_path / "policy.toml"
    )
    with (tmp_path / "policy.toml").open("w"):  # it is being read now
        os.kill(process.pid, signal.Signals[name])
        assert process.wait(timeout=60) == 128 + signal.Signals[name]
    assert process.communicate() == (b"", b"")
    assert names(tmp_path) == ["a.safetensors", "policy.toml"]
