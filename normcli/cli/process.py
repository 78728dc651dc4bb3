"""One run of the program: descriptors, signals and the exit code, whatever happens in between."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

DONE, FAILED = 0, 2
BROKEN_PIPE = 128 + signal.SIGPIPE

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SHOW_CURSOR = b"\x1b[?25h"  # the progress bar hides it


class Stopped(BaseException):
    """A signal asks the program to end; what is open is closed on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    gc.set_threshold(100_000)  # importing torch and large headers make objects that stay
    try:
        for number in _STOPS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, background jobs
                signal.signal(number, _stop)
        code = run(sys.argv[1:])
    except Stopped as stop:
        _silence()
        code = 128 + stop.number
    _end(code)


def _end(code: int) -> NoReturn:
    """Not `sys.exit`: that waits for threads in the middle of a sum, and 0.2 s to unload torch."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):  # closed, or full: nobody is left to be told
            sys.stderr.flush()
    os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """The exit code of a command line; errors are said on standard error."""
    _open_standard_streams()
    try:
        code = _invoked(arguments)
        if code == DONE:
            sys.stdout.flush()
    except BrokenPipeError:
        code = BROKEN_PIPE
    except OSError as error:
        from normcli.cli.messages import Voice

        Voice.of(arguments).error(_unwritten(error))
        code = FAILED
    if code != DONE:
        _silence()
    return code


def _invoked(arguments: Sequence[str]) -> int:
    from normcli.cli.app import invoke
    from normcli.cli.messages import Voice

    try:
        return invoke(arguments)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - the one place where nothing may get past
        return Voice.of(arguments).answer(error)


def _unwritten(error: OSError) -> Exception:
    from normcli.errors import OutputError

    where = os.fsdecode(error.filename) if error.filename else "standard output"
    closed = error.errno == errno.EBADF and not error.filename
    return OutputError("is closed" if closed else error.strerror or str(error), where=where)


def _open_standard_streams() -> None:
    """Give closed standard streams a descriptor on which every write fails.

    Otherwise the next file that is opened would become standard output.
    """
    for descriptor in range(3):
        if not _is_open(descriptor):
            os.open(os.devnull, os.O_RDONLY)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for good
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _silence() -> None:
    """Lead standard output nowhere: what it could not take is not tried again at shutdown."""
    target = os.open(os.devnull, os.O_WRONLY)
    os.dup2(target, 1)
    os.close(target)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    for each in _STOPS:
        signal.signal(each, _leave)
    raise Stopped(number)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    """A second signal: end at once, however much is still being summed in threads."""
    if sys.stderr is not None and sys.stderr.isatty():
        os.write(2, _SHOW_CURSOR)
    os._exit(128 + number)
