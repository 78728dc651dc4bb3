"""Apply and convert where they are interrupted, or may not write what they were told to."""

import os
import signal
import stat
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
import torch
from disks import small_disk
from hostile_writers import WRITERS, saved
from outputs import OLD, assert_refused, gated, names
from processes import COMMAND, environment, run

torch.set_num_threads(1)
PIECE = 1 << 16
CAP_DAC_OVERRIDE, PR_CAPBSET_DROP = 1, 24  # linux/capability.h, linux/prctl.h
# Root may write everywhere until it starts a program without that right.
UNPRIVILEGED = f"""
import ctypes, os, sys
if os.geteuid() == 0 and ctypes.CDLL(None).prctl({PR_CAPBSET_DROP}, {CAP_DAC_OVERRIDE}, 0, 0, 0):
    sys.exit("this right cannot be given up")
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture(autouse=True)
def signals_are_heard():
    """A test run in the background may ignore signals, and what it starts would ignore them too."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ignored = [number for number in numbers if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(params=WRITERS.values(), ids=WRITERS)
def writer(request):
    return request.param


@pytest.fixture
def small(tmp_path):
    """A checkpoint in a folder of its own, beside which outputs go."""
    return saved(tmp_path / "here" / "model.pt", count=3, size=8)


@pytest.fixture(scope="session")
def medium(tmp_path_factory):
    """So large that it is written in several pieces."""
    return saved(tmp_path_factory.mktemp("medium") / "here" / "model.pt", count=4, size=512)


# Interrupted


def fill(path):
    """Take what is free on a small disk."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(PIECE)):
            pass


def test_a_disk_that_fills_meanwhile_leaves_nothing(medium, tmp_path, writer):
    with small_disk(tmp_path / "disk", "size=12m") as disk:
        output = disk / f"out{writer.suffix}"
        process = gated(tmp_path / "gate", "preadv", 2, *writer.command(medium, output))
        fill(disk / "other")
        said = process.communicate(b"\n")[1].decode()
        assert process.returncode == 2
        assert said.startswith(f"normcli: {output}: No space left on device")
        assert names(disk) == ["other"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_to_apply_leaves_nothing(medium, tmp_path, name):
    output = tmp_path / "out" / "model.pt"
    output.parent.mkdir()
    command = WRITERS["apply"].command(medium, output)
    process = gated(tmp_path / "gate", "preadv", 2, *command)
    process.send_signal(signal.Signals[name])
    assert process.communicate() == (b"", b"")
    assert process.returncode == 128 + signal.Signals[name]
    assert names(output.parent) == []


def test_an_input_that_grows_while_it_is_converted_gives_no_output(tmp_path):
    path = saved(tmp_path / "here" / "model.pt", count=4, size=512)
    command = WRITERS["convert"].command(path, path.with_name("out.safetensors"))
    process = gated(tmp_path / "gate", "preadv", 2, *command)
    with path.open("ab") as file:
        file.write(b"more")
    said = process.communicate(b"\n")[1]
    assert process.returncode == 2
    assert b"while it was read" in said
    assert names(path.parent) == ["model.pt"]


def test_a_reader_sees_the_old_file_or_the_whole_new_one(medium, tmp_path, writer):
    output = tmp_path / f"out{writer.suffix}"
    output.write_bytes(OLD)
    seen, done = {OLD}, threading.Event()

    def read():
        while not done.is_set():
            seen.add(output.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    finished = run(*writer.command(medium, output, "--force"))
    done.set()
    reader.join()
    assert finished.returncode == 0, finished.stderr
    assert seen | {output.read_bytes()} == {OLD, output.read_bytes()}
    writer.assert_whole(output, medium)


# Places


def test_a_folder_that_cannot_be_written_to_is_told(small, tmp_path, writer):
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o500)
    command = writer.command(small, folder / f"out{writer.suffix}")
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, *COMMAND, *map(str, command)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    if "cannot be given up" in done.stderr:
        pytest.skip("root may write everywhere, and cannot give up that right here")
    assert_refused(done, str(folder))
    assert names(folder) == []


@pytest.mark.parametrize("spelling", ["./model.pt", "hard.pt", "soft.pt", "{0}"])
def test_convert_does_not_write_over_its_input(small, spelling):
    os.link(small, small.with_name("hard.pt"))
    small.with_name("soft.pt").symlink_to("model.pt")
    before = small.read_bytes()
    output = spelling.format(small)
    done = run("convert", "model.pt", "-o", output, "--force", cwd=small.parent)
    assert_refused(done, "is an input; normcli does not write over it", "--in-place")
    assert small.read_bytes() == before
    assert names(small.parent) == ["hard.pt", "model.pt", "soft.pt"]


def test_a_link_needs_force_and_is_not_followed(small, writer):
    far, output = small.with_name("far"), small.with_name(f"out{writer.suffix}")
    far.write_bytes(OLD)
    output.symlink_to("far")
    assert_refused(run(*writer.command(small, output)), "exists", "--force")
    assert output.is_symlink()
    assert run(*writer.command(small, output, "--force")).returncode == 0
    assert far.read_bytes() == OLD
    assert not output.is_symlink()
    writer.assert_whole(output, small)


@pytest.mark.parametrize("kind", ["directory", "fifo", "device"])
def test_convert_writes_to_nothing_but_a_file(small, tmp_path, kind):
    output = tmp_path / "out.safetensors"
    if kind == "directory":
        output.mkdir()
    elif kind == "fifo":
        os.mkfifo(output)
    else:
        output = "/dev/full"
    before = os.lstat(output)
    assert_refused(run("convert", small, "-o", output, "--force"), str(output))
    after = os.lstat(output)
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)
    assert names(small.parent) == ["model.pt"]


def test_mode_and_group_of_the_old_file_are_kept(small, writer):
    if os.geteuid() != 0:
        pytest.skip("only root may give a file to any group")
    output = small.with_name(f"out{writer.suffix}")
    output.write_bytes(OLD)
    os.chown(output, -1, 23456)
    output.chmod(0o640)
    assert run(*writer.command(small, output, "--force")).returncode == 0
    writer.assert_whole(output, small)
    found = output.stat()
    assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (23456, 0o640)
