"""From hidden to published in one step: files and folders that are whole or not there."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from normcli.durable.target import taken, told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BUFFER = 1 << 20  # bytes: many small tensors become one write, a large one goes past it
_DESCRIPTORS = "/proc/self/fd"
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_NO_NAMES = (*_NO_LINKS, errno.ENOENT, errno.EXDEV, errno.EINVAL)
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EACCES, errno.EPERM)


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that nobody sees yet.

    Attributes:
        file: To write to and read from; flush it before `path` is opened.
        path: By which this process can open it before it is published.
    """

    file: BinaryIO
    path: str


@contextmanager
def new_file(path: Path, *, replace: bool, like: os.stat_result | None = None) -> Iterator[NewFile]:
    """A file that appears under its name, complete and synced, when the block ends without error.

    At every moment the path names what it named before, or the whole new file. After an error or a
    signal nothing is left, after SIGKILL only a hidden `.NAME.….tmp` beside it, and not even that
    where the system has files without names (but for the instant before a file is replaced).

    Args:
        path: Where it goes; a symbolic link is replaced itself.
        replace: Whether what is there gives way; otherwise the path must be free to the last.
        like: Whose mode, group and owner it gets, as far as the system allows; None is what the
            umask leaves.

    Raises:
        OutputError: The file could not be written, or somebody else was faster.
    """
    hidden = _hidden(path)
    with told(path):
        try:
            fd, place = _opened(hidden, 0o666 if like is None else 0o600)
            with _buffered(fd) as file:
                yield NewFile(file, place)
                file.flush()
                if like is not None:
                    _resemble(fd, like)
                os.fsync(fd)
                first = hidden if replace else path
                if place == str(hidden) or not _name(fd, first):
                    _settle(fd, place, hidden)
                    if not replace:
                        _link(hidden, path)
            if replace:
                hidden.replace(path)
            _sync(path.parent)
        finally:
            with suppress(OSError):
                hidden.unlink()


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder that appears under its name, complete and synced, when the block ends without error.

    The block fills a hidden folder beside it. After an error or a signal nothing is left, after
    SIGKILL the hidden `.NAME.….tmp`.

    Raises:
        OutputError: A file could not be written, or the path names something already that is not
            an empty folder.
    """
    hidden = _hidden(path)
    with told(path):
        try:
            hidden.mkdir()
            yield hidden
            for each in (*hidden.rglob("*"), hidden):
                _sync(each)
            try:
                hidden.rename(path)
            except OSError as error:
                if error.errno in _TAKEN:
                    raise taken(path) from None
                raise
            _sync(path.parent)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


def _hidden(path: Path) -> Path:
    # 50 letters are at most 200 bytes, and file systems take 255
    return path.with_name(f".{path.name[:50]}.{secrets.token_hex(6)}.tmp")


def _opened(hidden: Path, mode: int) -> tuple[int, str]:
    """A new file without a name where that can be had, else a hidden one; how it can be opened."""
    try:
        # without O_TMPFILE the folder is opened, which fails
        flags = getattr(os, "O_TMPFILE", 0) | os.O_RDWR | os.O_CLOEXEC
        fd = os.open(hidden.parent, flags, mode)
    except OSError:  # where it is not the system that lacks this, the hidden file fails as well
        return _create(hidden, mode), str(hidden)
    return fd, f"{_DESCRIPTORS}/{fd}"


def _create(hidden: Path, mode: int) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(hidden, flags, mode)


def _name(fd: int, path: Path) -> bool:
    """Give a file without a name one that is free; whether the file system can."""
    try:
        # os.link follows a link (AT_SYMLINK_FOLLOW) only where it is told a folder
        descriptors = os.open(_DESCRIPTORS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.link(str(fd), path, src_dir_fd=descriptors, follow_symlinks=True)
        finally:
            os.close(descriptors)
    except OSError as error:
        if error.errno not in _NO_NAMES:
            raise
        return False
    return True


def _settle(fd: int, place: str, hidden: Path) -> None:
    """Copy a file that its file system cannot name to the hidden one; synced, mode and owner."""
    if place == str(hidden):
        return
    with open(_create(hidden, 0o600), "wb") as copy:
        with os.fdopen(os.dup(fd), "rb") as file:
            file.seek(0)
            shutil.copyfileobj(file, copy, _BUFFER)
        copy.flush()
        _resemble(copy.fileno(), os.fstat(fd))
        os.fsync(copy.fileno())


def _link(hidden: Path, path: Path) -> None:
    try:
        os.link(hidden, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):  # a file system without links: nothing better can be had
            raise FileExistsError(errno.EEXIST, "exists") from error
        hidden.rename(path)


@contextmanager
def _buffered(fd: int) -> Iterator[BinaryIO]:
    file = open(fd, "w+b", buffering=_BUFFER)  # noqa: SIM115 - closed below, silently
    try:
        yield file
    finally:
        with suppress(OSError):  # a full disk has been told by then
            file.close()


def _resemble(fd: int, like: os.stat_result) -> None:
    for owner in (like.st_uid, -1):  # only root gives files away
        with suppress(OSError):
            os.fchown(fd, owner, like.st_gid)
            break
    mode = like.st_mode & 0o777
    if os.fstat(fd).st_gid != like.st_gid:  # another group may do what everybody may
        mode &= ~0o070 | (mode & 0o007) << 3
    with suppress(PermissionError):  # FAT has one mode for all files
        os.fchmod(fd, mode)


def _sync(path: Path) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:  # a folder that may be written and not read
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(fd)
