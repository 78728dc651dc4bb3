"""Text files written whole or not at all, never over an input."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from normcli.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# What a report never replaces, --force or not: it may be a shard of an input.
CHECKPOINTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".index.json")


def refuse(path: Path, *, force: bool, inputs: Iterable[str]) -> None:
    """Say no before anything is computed.

    Raises:
        OutputError: The file is an input, named like a checkpoint, not a plain file, or exists
            without `force`.
    """
    where = str(path)
    if any(is_same(path, Path(each)) for each in inputs):
        raise OutputError("is an input; normcli does not write over it", where=where)
    if not path.parent.is_dir():
        raise OutputError("its folder does not exist", where=where, hint="create the folder first")
    if not os.path.lexists(path):
        return
    mode = path.lstat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)) or path.is_dir():
        hint = "-o - is standard output"
        raise OutputError("exists and is not a plain file", where=where, hint=hint)
    if path.name.lower().endswith(CHECKPOINTS):
        raise OutputError("exists and is named like a checkpoint", where=where)
    if not force:
        raise OutputError("exists", where=where, hint="replace it with --force")


def publish(path: Path, write: Callable[[TextIO], None], *, force: bool) -> None:
    """Write a file beside its place and move it there when it is complete.

    Without `force` it is linked into place: that fails if somebody was faster.
    """
    hidden = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        _fill(os.open(hidden, flags, 0o666), write)
        if force:
            hidden.replace(path)
        else:
            _link(hidden, path)
    except FileExistsError:
        hint = "replace it with --force"
        raise OutputError("exists", where=str(path), hint=hint) from None
    except OSError as error:
        raise OutputError(error.strerror or str(error), where=str(path)) from error
    finally:
        with suppress(OSError):
            hidden.unlink()


def append(path: Path, write: Callable[[TextIO], None]) -> None:
    """Add to the end of a file."""
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n") as out:
            write(out)
    except OSError as error:
        raise OutputError(error.strerror or str(error), where=str(path)) from error


def is_same(first: Path, second: Path) -> bool:
    """Whether two paths are one file: by any link, or both not there yet."""
    try:
        return first.samefile(second)
    except OSError:
        return os.path.realpath(first) == os.path.realpath(second)


def _fill(descriptor: int, write: Callable[[TextIO], None]) -> None:
    with open(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as out:
        write(out)
        out.flush()
        os.fsync(descriptor)


def _link(hidden: Path, path: Path) -> None:
    try:
        os.link(hidden, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        if os.path.lexists(path):  # a file system without links: nothing better can be had
            raise FileExistsError(errno.EEXIST, "exists") from error
        hidden.rename(path)
