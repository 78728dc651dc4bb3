"""What a command line leaves, and one that stops midway until the test lets it go on."""

import subprocess

from processes import COMMAND, environment

OLD = b"an old file"
_GATE = """
import itertools, os
begun, calls, real_open, real = [], itertools.count(1), os.open, os.{call}

def opening(path, flags, *rest, **named):
    if flags & os.O_RDWR:
        begun.append(path)
    return real_open(path, flags, *rest, **named)

def gate(*rest, **named):
    if (begun or {call!r} == "fsync") and next(calls) == {number}:
        os.write(1, b"\\n")
        os.read(0, 1)
    return real(*rest, **named)

os.open, os.{call} = opening, gate
"""


def gated(folder, call, number, *arguments):
    """Start a command line and wait until it is about to do the system call for that time.

    Reads are counted from when it opens a file to write to. It goes on when it can read from its
    standard input, or finds its end.
    """
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_GATE.format(call=call, number=number))
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(PYTHONPATH=str(folder)),
    )
    said = process.stdout.readline()
    assert said == b"\n", process.communicate()
    return process


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def assert_refused(done, *sentences):
    said = done.stderr.splitlines()
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert said[0].startswith("normcli: ")
    assert len(said) == 1 or (len(said) == 2 and said[1].startswith("hint: "))
    for sentence in sentences:
        assert sentence in done.stderr
