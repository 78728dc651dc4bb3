"""Where code of the user runs: whatever goes wrong in it is one sentence that names its line."""

from __future__ import annotations

import os
import sysconfig
import traceback
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from normcli.errors import NormcliError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LONGEST = 400  # letters of a message: an error of torch may show a whole tensor
_HOUSE = Path(__file__).parents[1]
_STDLIB = Path(sysconfig.get_path("stdlib"))
_INSTALLED = frozenset({"site-packages", "dist-packages"})


@contextmanager
def guest(
    what: str | Callable[[BaseException], str],
    *,
    where: str = "",
    hint: str = "",
) -> Iterator[None]:
    """Run code of the user: an error in it, or its `sys.exit`, becomes one sentence.

    The sentence says what the code was asked for, what it raised, and in which line of the user's.
    The working directory is the same afterwards. KeyboardInterrupt and what else is no Exception
    passes through, and so does a `NormcliError`.

    Args:
        what: The attempt, `importing 'digits'`, or what gives it of the error.
        where: The option or the file that it is about.
        hint: What the user can do about it, where that is known.

    Raises:
        UsageError: The code failed.
    """
    try:
        with _same_folder():
            yield
    except NormcliError:
        raise
    except (Exception, SystemExit) as error:
        said = what if isinstance(what, str) else what(error)
        message = f"{said} failed: {_told(error)}"
        raise UsageError(message, where=where, hint=hint or _hint(error)) from error


@contextmanager
def _same_folder() -> Iterator[None]:
    """Go back to the working directory, by descriptor: its path may lead elsewhere by then."""
    folder = _opened_folder()
    try:
        yield
    finally:
        if folder is not None:
            with suppress(OSError):
                os.fchdir(folder)
            os.close(folder)


def _opened_folder() -> int | None:
    try:
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # it vanished, or may not be read
        return None


def _hint(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return "install it into the environment that normcli runs in"
    return "--debug shows its traceback"


def _told(error: BaseException) -> str:
    """`ValueError: bad size (digits.py, line 12)`, on one line."""
    message, place = one_line(error), _place(error)
    sentence = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return f"{sentence} ({place})" if place else sentence


def one_line(value: object) -> str:
    """What `str` gives of an object of the user, on one line, cut when it is long."""
    try:
        words = str(value).split()
    except Exception:  # noqa: BLE001 - a __str__ of the user, which may do anything
        return "(no text: its __str__ fails)"
    text = " ".join(words)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _place(error: BaseException) -> str:
    """File and line of the innermost frame of the user; empty where there is none.

    Code that is installed counts as the user's only where there is no other: a model may come from
    a package, but a mistake that surfaces in numpy was made in the line that called it.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return ""  # its message ends with the place
    frames = [
        (Path(frame.f_code.co_filename), line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    guests = [frame for frame in frames if _is_guest(frame[0])]
    own = [frame for frame in guests if _INSTALLED.isdisjoint(frame[0].parts)]
    if not guests:
        return ""
    file, line = (own or guests)[-1]
    return f"{_shown(file)}, line {line}"


def _is_guest(file: Path) -> bool:
    """Whether the file is neither ours, nor torch's, nor Python's, nor made at run time."""
    if str(file).startswith("<") or _HOUSE in file.parents or _is_torch(file):
        return False
    return _STDLIB not in file.parents or not _INSTALLED.isdisjoint(file.parts)


def _is_torch(file: Path) -> bool:
    import torch

    return Path(torch.__file__).parent in file.parents


def _shown(file: Path) -> str:
    """The path below the working directory; elsewhere the name alone."""
    try:
        return str(file.relative_to(Path.cwd())) if file.is_absolute() else str(file)
    except (OSError, ValueError):
        return file.name
