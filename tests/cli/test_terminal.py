"""On a terminal: a table by default, and a progress bar where a person is looking."""

import fcntl
import os
import pty
import struct
import subprocess
import termios

import pytest
from processes import COMMAND, environment

BAR = "━"


def on_terminal(*arguments, width=90, errors=None):
    """What a command writes on a terminal of that width; standard error too without `errors`."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=theirs,
        stderr=theirs if errors is None else errors,
        env=environment(TERM="xterm-256color"),
    )
    os.close(theirs)
    text = b"".join(iter(lambda: _read(ours), b"")).decode()
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return text


def _read(descriptor):
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux says EIO where the other end is closed
        return b""


def test_a_terminal_gets_a_colored_table_of_its_width(model):
    text = on_terminal("ls", model)
    assert "\x1b[1mweight\x1b[0m" in text
    assert "─" in text


def test_a_bar_is_drawn_and_wiped(model):
    text = on_terminal("inspect", model)
    assert BAR in text
    assert "3/3 weights" in text
    assert BAR not in text.rpartition("\x1b[2K")[2]


@pytest.mark.parametrize("option", ["-q", "--no-progress"])
def test_no_bar_where_none_is_wanted(model, option):
    assert BAR not in on_terminal("inspect", model, option)


def test_no_bar_where_standard_error_is_no_terminal(model):
    assert BAR not in on_terminal("inspect", model, errors=subprocess.DEVNULL)


def test_what_was_written_is_a_colored_table_and_the_path_stands_below_it(model):
    text = on_terminal("apply", "--spectral", model, "--no-progress")
    assert "\x1b[1mσ after\x1b[0m" in text
    assert text.rstrip().endswith(str(model.with_name("model.spectral.safetensors")))


def test_a_bar_is_drawn_while_a_checkpoint_is_rewritten(model):
    text = on_terminal("apply", "--weight", model)
    assert BAR in text
    assert "3/3 weights" in text
    assert BAR not in text.rpartition("\x1b[2K")[2]
    for option in ("-q", "--no-progress"):
        assert BAR not in on_terminal("apply", "--weight", model, "--force", option)


def test_a_plan_is_a_table_on_a_terminal_and_says_everything_once(model):
    text = on_terminal("apply", "--weight", model, "--dry-run", "--no-progress")
    assert "what changes" in text
    assert text.count("would write") == 1
    assert "note:" not in text


def test_errors_are_colored_on_a_terminal_only(model, tmp_path):
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [*COMMAND, "ls", str(tmp_path / "none.pt")], stderr=theirs, env=environment(TERM="xterm"),
        check=False,
    )  # fmt: skip
    os.close(theirs)
    text = _read(ours).decode()
    os.close(ours)
    assert done.returncode == 2
    assert text.startswith("\x1b[1;31mnormcli:\x1b[0m ")
