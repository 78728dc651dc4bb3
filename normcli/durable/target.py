"""Where a file or a folder may be put, decided before anything is computed."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from normcli.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def is_same(first: Path, second: Path) -> bool:
    """Whether two paths are one file: by any link, or both not there yet."""
    try:
        return first.samefile(second)
    except OSError:
        return os.path.realpath(first) == os.path.realpath(second)


def is_plain(path: Path) -> bool:
    """Whether nothing is there, or a regular file, or a link to one of both."""
    with suppress(OSError):  # a path that cannot be looked at is no other kind of thing
        return not _kind(path)
    return True


def check_target(
    path: Path,
    *,
    inputs: Iterable[str],
    force: bool,
    in_place: bool = False,
    nbytes: int = 0,
) -> None:
    """Say no before anything is computed.

    A symbolic link is replaced itself, what it leads to stays; with `in_place` it is the other way
    round, and the path to give to `new_file` is `os.path.realpath(path)`.

    Args:
        path: Of the file that is to be written.
        inputs: Paths of all files that are read.
        force: Whether a file that exists may be replaced.
        in_place: Whether it may be an input.
        nbytes: What the file will need.

    Raises:
        OutputError: It is an input, not a regular file, or exists without `force`; its folder does
            not exist, cannot be written to, or has too little space.
    """
    _check_letters(path)
    if not in_place and any(is_same(path, Path(each)) for each in inputs):
        hint = "name another output, or say --in-place"
        message = "is an input; normcli does not write over it"
        raise OutputError(message, where=str(path), hint=hint)
    target = Path(os.path.realpath(path)) if in_place else path
    with told(path):
        _check_parent(target, nbytes)
        if kind := _kind(target):
            raise OutputError(f"is {kind}, expected a file", where=str(path))
        if not (force or in_place) and os.path.lexists(target):
            raise FileExistsError


def check_folder(path: Path, *, nbytes: int = 0) -> None:
    """Say no before anything is computed, for a folder that is to be written.

    Raises:
        OutputError: It exists and is not an empty folder; its parent does not exist, cannot be
            written to, or has too little space.
    """
    _check_letters(path)
    if path.name in ("", ".."):
        hint = "name a folder that is not there yet"
        raise OutputError("is not the name of a new folder", where=str(path), hint=hint)
    with told(path):
        _check_parent(path, nbytes)
        with suppress(FileNotFoundError):
            if not stat.S_ISDIR(path.lstat().st_mode) or any(path.iterdir()):
                raise taken(path)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Every error of the system inside is told as one of `path`."""
    where = str(path)
    try:
        yield
    except FileExistsError:
        raise OutputError("exists", where=where, hint="replace it with --force") from None
    except OSError as error:
        hint = "nothing was written or replaced; make room first" if error.errno in _FULL else ""
        raise OutputError(error.strerror or str(error), where=where, hint=hint) from error


def taken(path: Path) -> OutputError:
    """That a folder cannot go where something is."""
    hint = "name a folder that is not there yet"
    return OutputError("exists and is not an empty folder", where=str(path), hint=hint)


def _kind(path: Path) -> str:
    """What is there that is not a file, behind any link; empty where nothing is."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return ""
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "something else")


def _check_letters(path: Path) -> None:
    if "\0" in str(path):
        raise OutputError("is not a path: it holds a NUL character", where=str(path))


def _check_parent(path: Path, nbytes: int) -> None:
    folder, where = path.parent, str(path)
    if not folder.is_dir():
        raise OutputError("its folder does not exist", where=where, hint="create the folder first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError("its folder cannot be written to", where=where)
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if nbytes > free and found.f_blocks:  # some file systems do not say
        message = f"needs {_size(nbytes)}, its file system has {_size(free)} free"
        raise OutputError(message, where=where, hint="make room, or write it elsewhere")


def _size(nbytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if nbytes < 1000:
            return f"{nbytes:.4g} {unit}"
        nbytes /= 1000
    return f"{nbytes:,.1f} TB"
