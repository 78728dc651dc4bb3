"""Standard output while code of the user runs, and that it is itself again afterwards."""

import os
import subprocess
import sys

import pytest
from processes import environment

from normcli.cli.guest_output import on_standard_error

# Every way in which a module of a user can write to standard output.
GUEST = """
import ctypes, os, subprocess, sys
print("printed")
sys.stdout.write("written\\n")
sys.__stdout__.write("original\\n")
os.write(1, b"descriptor\\n")
subprocess.run([sys.executable, "-c", "print('child')"], check=True)
libc = ctypes.CDLL(None)
libc.puts(b"library")
libc.fflush(None)
"""
WAYS = {"printed", "written", "original", "descriptor", "child", "library"}
PROGRAM = """
import sys
from normcli.cli.guest_output import on_standard_error
print("before")
try:
    with on_standard_error():
        {guest}
except {error}:
    pass
print("after")
"""


def ran(guest, error="()", end="", shell='"$@"'):
    """A program that lets the guest run; its streams."""
    program = PROGRAM.format(guest=f"exec({guest!r})", error=error) + end
    return subprocess.run(
        ["/bin/sh", "-c", shell, "sh", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )


def test_whatever_a_guest_writes_is_on_standard_error():
    done = ran(GUEST)
    assert (done.returncode, done.stdout) == (0, "before\nafter\n")
    assert set(done.stderr.splitlines()) == WAYS


@pytest.mark.parametrize("error", ["ValueError", "SystemExit", "BaseException"])
def test_a_guest_that_raises_gives_standard_output_back(error):
    done = ran(f"{GUEST}\nraise {error}", error)
    assert (done.returncode, done.stdout) == (0, "before\nafter\n")
    assert set(done.stderr.splitlines()) == WAYS


def test_where_standard_error_is_closed_what_a_guest_writes_is_gone():
    done = ran(GUEST, shell='"$@" 2>&-')
    assert (done.returncode, done.stdout, done.stderr) == (0, "before\nafter\n", "")


def test_a_stream_that_a_guest_keeps_leads_to_standard_error_for_good():
    done = ran("import sys; sys.kept = sys.stdout", end="print('late', file=sys.kept)")
    assert (done.stdout, done.stderr) == ("before\nafter\n", "late\n")


def test_a_function_can_be_led_away_each_time(capfd):
    lead = on_standard_error()(lambda: os.write(1, b"twice\n"))
    lead()
    lead()
    assert capfd.readouterr() == ("", "twice\ntwice\n")
