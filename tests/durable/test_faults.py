"""Whole or not there, whatever happens while a file is written."""

import os
import random
import resource
import signal
import subprocess
import sys
import threading

import pytest
from disks import NEW, OLD, PIECE, names, small_disk, write

from normcli.errors import OutputError

LARGE = 50  # pieces of a file that takes long to write
MODES = pytest.mark.parametrize("replace", [False, True])

# Writes LARGE pieces of one letter, again and again, and says each time that it begins.
WRITER = f"""
import sys
from pathlib import Path
from normcli.durable import new_file

path, replace = Path(sys.argv[1]), sys.argv[2] == "replace"
for turn in range(1000):
    letter = bytes([65 + turn % 26])
    print(turn, flush=True)
    with new_file(path if replace else path.with_suffix(f".{{turn}}"), replace=replace) as new:
        for _ in range({LARGE}):
            new.file.write(letter * {PIECE})
"""
ONCE = """
import sys
from pathlib import Path
from normcli.durable import new_file
from normcli.errors import OutputError

try:
    with new_file(Path(sys.argv[1]), replace=sys.argv[2] == "replace") as new:
        input()
        new.file.write(sys.argv[3].encode() * 3_000_000)
except OutputError as error:
    sys.exit(f"{error}\\n{error.hint}")
"""


def start(program, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_whole(content):
    assert len(content) == LARGE * PIECE
    assert content.count(content[:1]) == len(content)


@pytest.mark.parametrize("replace", ["new", "replace"])
def test_a_kill_at_any_moment_leaves_whole_files_and_no_others(tmp_path, replace):
    draw = random.Random(20260101)
    path = tmp_path / "large.bin"
    path.write_bytes(b"@" * (LARGE * PIECE))
    left = 0
    for _ in range(20):
        child = start(WRITER, path, replace)
        child.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(draw.uniform(0, 0.3))
        child.kill()
        child.communicate()
        hidden = [each for each in tmp_path.iterdir() if each.name.startswith(".")]
        left += len(hidden)
        for each in tmp_path.iterdir():
            assert_whole(each.read_bytes())
            if each != path:
                each.unlink()
    # a file that is replaced has a hidden name for the instant between link and rename
    assert left <= (1 if replace == "replace" else 0)


@MODES
def test_a_file_over_the_limit_leaves_nothing(tmp_path, way, replace):
    path = tmp_path / "new.bin"
    if replace:
        path.write_bytes(OLD)
    before = names(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (PIECE, limits[1]))
    try:
        with pytest.raises(OutputError, match="File too large") as caught:
            write(path, b"x" * (2 * PIECE), replace=replace)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "nothing was written" in caught.value.hint
    assert names(tmp_path) == before
    assert not replace or path.read_bytes() == OLD


@pytest.mark.parametrize("size", [PIECE, 2 * PIECE])  # flushed at the end, or written through
@MODES
def test_a_full_disk_leaves_nothing(tmp_path, way, replace, size):
    with small_disk(tmp_path / "disk") as disk:
        path = disk / "new.bin"
        path.write_bytes(OLD)
        if not replace:
            path = disk / "other.bin"
        with pytest.raises(OutputError, match="No space left on device") as caught:
            write(path, b"x" * size, replace=replace)
        assert "nothing was written" in caught.value.hint
        assert names(disk) == ["new.bin"]
        assert (disk / "new.bin").read_bytes() == OLD
        write(path, replace=replace)
        assert path.read_bytes() == NEW


def test_a_file_system_that_is_read_only_is_told(tmp_path, way):
    with (
        small_disk(tmp_path / "disk", "size=1m,ro") as disk,
        pytest.raises(OutputError, match="Read-only file system"),
    ):
        write(disk / "new.bin")


def test_a_folder_without_permission_is_told(tmp_path, way):
    if os.geteuid() == 0:
        pytest.skip("permissions do not bite root")
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        write(folder / "new.bin")
    folder.chmod(0o700)
    assert names(folder) == []


@pytest.mark.parametrize("replace", ["new", "replace"])
def test_of_five_writers_one_wins_or_all_replace_each_other(tmp_path, replace):
    path = tmp_path / "new.bin"
    children = [start(ONCE, path, replace, letter) for letter in "abcde"]
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    said = [child.communicate()[1] for child in children]
    content = path.read_bytes()
    assert len(content) == 3_000_000
    assert content.count(content[:1]) == len(content)
    codes = sorted(child.returncode for child in children)
    assert codes == ([0] * 5 if replace == "replace" else [0, 1, 1, 1, 1])
    assert all(not each or "new.bin: exists" in each for each in said)
    assert names(tmp_path) == ["new.bin"]


def test_a_reader_never_sees_a_part(tmp_path, way):
    path = tmp_path / "new.bin"
    path.write_bytes(b"@" * (4 * PIECE))
    done = threading.Event()
    seen = set()

    def read():
        while not done.is_set():
            content = path.read_bytes()
            seen.add((len(content), content[:1] * len(content) == content))

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(30):
        write(path, bytes([65 + turn]) * (4 * PIECE), replace=True)
    done.set()
    reader.join()
    assert seen == {(4 * PIECE, True)}
