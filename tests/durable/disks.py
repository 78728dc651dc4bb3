"""What is on a disk, and a disk that is soon full."""

import subprocess
from contextlib import contextmanager

import pytest

from normcli.durable import new_file

OLD, NEW = b"old bytes", b"new bytes"
PIECE = 1 << 20


@contextmanager
def small_disk(folder, options="size=1m"):
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def write(path, content=NEW, *, replace=False, like=None):
    with new_file(path, replace=replace, like=like) as new:
        new.file.write(content)


def fail(file, error):
    file.write(NEW)
    raise error


def names(folder):
    return sorted(each.name for each in folder.iterdir())
