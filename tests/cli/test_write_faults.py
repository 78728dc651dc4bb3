"""A checkpoint that is written is the old file or the complete new one, whatever happens."""

import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from outputs import OLD, assert_refused, gated, names
from processes import COMMAND, environment, run
from safetensors.torch import load_file

KILLS = 20
WEIGHTS = 48  # of 1 MiB: enough for a moment within the writing to be hit


@dataclass(frozen=True)
class Job:
    """A command line whose output is known.

    Attributes:
        arguments: But for the output.
        input: What it reads.
        suffix: Of the output.
        whole: Bytes of the output.
        seconds: That a whole run takes.
    """

    arguments: tuple
    input: Path
    suffix: str
    whole: bytes
    seconds: float


@pytest.fixture(scope="session")
def heavy(tmp_path_factory):
    path = tmp_path_factory.mktemp("heavy") / "heavy.pt"
    generator = torch.Generator().manual_seed(20260101)
    torch.save(
        {f"{n}.weight": torch.randn(512, 512, generator=generator) for n in range(WEIGHTS)}, path
    )
    return path


def measured(arguments, heavy, output):
    begun = time.perf_counter()
    done = run(*arguments, heavy, "-o", output)
    assert done.returncode == 0, done.stderr
    seconds = time.perf_counter() - begun
    return Job(arguments, heavy, output.suffix, output.read_bytes(), seconds)


@pytest.fixture(scope="session")
def converting(heavy, tmp_path_factory):
    output = tmp_path_factory.mktemp("converted") / "whole.safetensors"
    job = measured(("convert",), heavy, output)
    given, found = torch.load(heavy), load_file(output)
    assert found.keys() == given.keys()
    assert all(torch.equal(found[name], given[name]) for name in given)
    return job


@pytest.fixture(scope="session")
def applying(heavy, tmp_path_factory):
    output = tmp_path_factory.mktemp("applied") / "whole.pt"
    job = measured(("apply", "--weight"), heavy, output)
    given, found = torch.load(heavy), torch.load(output)
    for name, weight in given.items():
        stem = name.replace(".weight", ".parametrizations.weight.original")
        made = torch._weight_norm(found[f"{stem}1"], found[f"{stem}0"], 0)
        torch.testing.assert_close(made, weight)
    return job


def kill_in(seconds, *arguments):
    """Run a command line, and kill it after so many seconds if it is not done by then."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    return process.wait()


def moments(seconds, turn):
    """A quarter of KILLS moments, one at random in each of KILLS equal parts of a run."""
    draw = random.Random(20260102)
    return [seconds * (part + draw.random()) / KILLS for part in range(KILLS)][turn::4]


# Killed


@pytest.mark.parametrize("kind", ["converting", "applying"])
@pytest.mark.parametrize("force", [False, True])
def test_a_kill_at_any_moment_leaves_the_old_file_or_the_whole_new_one(
    request, tmp_path, kind, force
):
    job = request.getfixturevalue(kind)
    output = tmp_path / f"out{job.suffix}"
    options = ["--force"] if force else []
    for seconds in moments(job.seconds, force + 2 * (kind == "applying")):
        output.unlink(missing_ok=True)
        if force:
            output.write_bytes(OLD)
        kill_in(seconds, *job.arguments, job.input, "-o", output, *options)
        if force or output.exists():
            assert output.read_bytes() in (OLD, job.whole)
    # a file that is replaced has a hidden name for the instant between link and rename
    hidden = [name for name in names(tmp_path) if name != output.name]
    assert len(hidden) <= (1 if force else 0)


def test_a_kill_at_any_moment_of_work_in_place_leaves_the_input_or_the_whole_new_file(
    applying, tmp_path
):
    path = tmp_path / "model.pt"
    given = applying.input.read_bytes()
    for seconds in moments(applying.seconds, 2):
        shutil.copyfile(applying.input, path)
        kill_in(seconds, *applying.arguments, path, "--in-place")
        assert path.read_bytes() in (given, applying.whole)
    assert len(names(tmp_path)) <= 2


# Stopped


@pytest.mark.parametrize(("moment", "force"), [(("preadv", 20), False), (("fsync", 1), True)])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_a_signal_leaves_nothing(heavy, tmp_path, name, moment, force):
    number = signal.Signals[name]
    output = tmp_path / "out" / "model.safetensors"
    output.parent.mkdir()
    if force:
        output.write_bytes(OLD)
    options = ["--force"] if force else []
    process = gated(tmp_path / "gate", *moment, "convert", heavy, "-o", output, *options)
    process.send_signal(number)
    said = process.communicate()
    code = -number if name == "SIGKILL" else 128 + number
    assert (process.returncode, *said) == (code, b"", b"")
    assert names(output.parent) == (["model.safetensors"] if force else [])
    assert not force or output.read_bytes() == OLD


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_leaves_no_folder_of_shards(heavy, tmp_path, name):
    output = tmp_path / "out" / "model"
    output.parent.mkdir()
    options = ["--max-shard-size", "20MB", "-o", output]
    process = gated(tmp_path / "gate", "fsync", 2, "convert", heavy, *options)
    assert not output.exists()
    process.send_signal(signal.Signals[name])
    assert process.communicate() == (b"", b"")
    assert process.returncode == 128 + signal.Signals[name]
    assert names(output.parent) == []


@pytest.mark.parametrize(
    ("option", "change"), [("-o", "longer"), ("-o", "removed"), ("--in-place", "replaced")]
)
def test_an_input_that_changes_meanwhile_gives_no_output(heavy, tmp_path, change, option):
    path = tmp_path / "here" / "model.pt"
    path.parent.mkdir()
    shutil.copyfile(heavy, path)
    output = ["-o", path.with_name("out.pt")] if option == "-o" else ["--in-place"]
    process = gated(tmp_path / "gate", "preadv", 20, "apply", "--weight", path, *output)
    if change == "longer":
        with path.open("ab") as file:
            file.write(b"more")
    else:
        path.unlink()
        if change == "replaced":
            path.write_bytes(OLD)
    before = {each.name: each.stat().st_size for each in path.parent.iterdir()}
    said = process.communicate(b"\n")
    assert process.returncode == 2, said
    assert b"while it was read" in said[1]
    assert {each.name: each.stat().st_size for each in path.parent.iterdir()} == before


# Full


@pytest.mark.parametrize(
    ("command", "force"), [(["convert"], False), (["apply", "--weight"], True)]
)
def test_a_file_over_the_limit_leaves_nothing(heavy, tmp_path, command, force):
    output = tmp_path / "out.safetensors"
    options = ["--force"] if force else []
    if force:
        output.write_bytes(OLD)
    limited = ["/bin/sh", "-c", 'ulimit -f 20000; exec "$@"', "sh", *COMMAND]
    done = subprocess.run(
        [*limited, *command, str(heavy), "-o", str(output), *options],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert_refused(done, f"{output}: File too large", "nothing was written or replaced")
    assert names(tmp_path) == (["out.safetensors"] if force else [])
    assert not force or output.read_bytes() == OLD


def test_a_disk_that_is_too_small_is_told_before_anything_is_computed(heavy, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        done = run("convert", heavy, "-o", disk / "out.safetensors")
        assert_refused(done, "needs 50.34 MB, its file system has 1.049 MB free")
        assert names(disk) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# Several at once


@pytest.mark.parametrize("force", [False, True])
def test_of_five_writers_one_wins_or_all_replace_each_other(small, tmp_path, force):
    output = small.with_name("out.safetensors")
    options = ["--force"] if force else []
    arguments = ["convert", small, "-o", output, *options]
    processes = [gated(tmp_path / "gate", "fsync", 1, *arguments) for _ in range(5)]
    for process in processes:
        process.stdin.write(b"\n")
        process.stdin.flush()
    said = [process.communicate()[1] for process in processes]
    codes = sorted(process.returncode for process in processes)
    assert codes == ([0] * 5 if force else [0, 2, 2, 2, 2])
    assert sum(b"out.safetensors: exists" in each for each in said) == codes.count(2)
    assert load_file(output).keys() == torch.load(small).keys()
    assert names(small.parent) == ["model.pt", "out.safetensors"]
