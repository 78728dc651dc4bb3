"""One file on disk: a descriptor that is opened once, read by offset, hashed and watched."""

from __future__ import annotations

import hashlib
import os
import stat
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from normcli.errors import ChangedError, CheckpointError
from normcli.records import InputFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK = 1 << 22  # bytes: large enough that a read costs nothing beside its copy


def never() -> bool:
    """Whether a result is unwanted, where nobody can tell: no."""
    return False


class Source:
    """A regular file, opened for reading; a FIFO or a device is refused without waiting for it.

    Attributes:
        path: As the user gave it.
        size: Bytes, when it was opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = Path(path).name
        fd = _open(path)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise _not_a_file(path, status.st_mode)
        self._file = os.fdopen(fd, "rb", buffering=0)
        self.size = status.st_size
        self._stamp = (status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)

    def read(self, offset: int, nbytes: int) -> bytes:
        """Exactly `nbytes` from `offset`.

        Raises:
            CheckpointError: The file ends before.
        """
        buffer = bytearray(nbytes)
        self.fill(memoryview(buffer), offset)
        return bytes(buffer)

    def fill(self, target: memoryview, offset: int) -> None:
        """Read `len(target)` bytes from `offset` into `target`; other threads run meanwhile.

        Raises:
            CheckpointError: The file ends before.
        """
        done = 0
        while done < len(target):
            count = self._read_once(target[done:], offset + done)
            if count == 0:
                raise CheckpointError(
                    f"ends at or before byte {offset + done}, expected {len(target) - done} more",
                    hint="the file is truncated, or it was cut while it was read",
                    where=self.path,
                )
            done += count

    def _read_once(self, target: memoryview, offset: int) -> int:
        try:
            return os.preadv(self._file.fileno(), [target], offset)
        except OSError as error:
            message = f"cannot be read at byte {offset}: {error.strerror}"
            raise CheckpointError(message, where=self.path) from error

    def chunks(
        self, offset: int, nbytes: int, *, size: int = _CHUNK, buffers: int = 1
    ) -> Iterator[memoryview]:
        """`nbytes` from `offset`, piece by piece, in so many buffers that are used in turn."""
        ring = [memoryview(bytearray(min(size, nbytes))) for _ in range(buffers)]
        for buffer in cycle(ring):
            if nbytes <= 0:
                return
            piece = buffer[: min(size, nbytes)]
            self.fill(piece, offset)
            yield piece
            offset += len(piece)
            nbytes -= len(piece)

    def input_file(self) -> InputFile:
        """Name and size."""
        return InputFile(self.name, self.size)

    def digest(self, unwanted: Callable[[], bool] = never) -> InputFile:
        """Name, size and sha256; reads every byte, unless `unwanted` says that nobody waits."""
        sha256 = hashlib.sha256()
        for piece in self.chunks(0, self.size):
            if unwanted():
                return InputFile(self.name, self.size)
            sha256.update(piece)
        self.check_unchanged()
        return InputFile(self.name, self.size, sha256.hexdigest())

    def check_unchanged(self) -> None:
        """Compare with the moment of opening: by descriptor, and what the path names now.

        Raises:
            ChangedError: Size, time of writing or inode differ, or the path names nothing.
        """
        for status in (os.fstat(self._file.fileno()), _status(self.path)):
            stamp = (status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)
            if stamp != self._stamp:
                raise ChangedError(
                    f"changed while it was read: {status.st_size} bytes, was {self._stamp[0]}",
                    hint="somebody writes to it; wait, then run again",
                    where=self.path,
                )

    def close(self) -> None:
        """Give the descriptor back."""
        self._file.close()


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise CheckpointError("no such file", where=path) from error
    except OSError as error:
        message = f"cannot be opened: {error.strerror}"
        raise CheckpointError(message, where=path) from error
    except ValueError as error:  # a NUL in the path
        raise CheckpointError("is not a path", where=path) from error


def _status(path: str) -> os.stat_result:
    try:
        return os.stat(path)  # noqa: PTH116 - the same call as for the descriptor
    except OSError as error:
        message = f"vanished while it was read: {error.strerror}"
        raise ChangedError(message, where=path) from error


def _not_a_file(path: str, mode: int) -> CheckpointError:
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFSOCK: "a socket",
    }
    kind = kinds.get(stat.S_IFMT(mode), "something else")
    return CheckpointError(f"is {kind}, expected a regular file", where=path)
