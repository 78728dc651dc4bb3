"""The bytes of a pickle, in order, through a window: never more of them in memory than needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.errors import CheckpointError

if TYPE_CHECKING:
    from normcli.formats.source import Source

_WINDOW = 1 << 18  # bytes
_LONGEST_LINE = 4096  # bytes of a module or class name


class PickleBytes:
    """A run of bytes of a file, read from front to back.

    Args:
        source: The open file.
        offset: Of the first byte.
        nbytes: How many there are at most.
    """

    def __init__(self, source: Source, offset: int, nbytes: int) -> None:
        self._source = source
        self._next = offset  # offset of the first byte behind the window
        self._end = offset + nbytes
        self._window = b""
        self._at = 0

    @property
    def position(self) -> int:
        """Offset in the file of the next byte."""
        return self._next - len(self._window) + self._at

    @property
    def left(self) -> int:
        """Bytes that are still to come."""
        return self._end - self.position

    def byte(self) -> int:
        """The next byte."""
        if self._at >= len(self._window):
            self._refill(1)
        value = self._window[self._at]
        self._at += 1
        return value

    def take(self, nbytes: int) -> bytes:
        """The next `nbytes`.

        Raises:
            CheckpointError: There are fewer left.
        """
        end = self._at + nbytes
        if end > len(self._window):
            self._refill(nbytes)
            end = self._at + nbytes
        value = self._window[self._at : end]
        self._at = end
        return value

    def line(self) -> str:
        """A module or class name up to the next newline."""
        end = self._window.find(b"\n", self._at)
        if end < 0:
            self._refill(min(_LONGEST_LINE, self.left))
            end = self._window.find(b"\n", self._at)
        if end < 0 or end - self._at > _LONGEST_LINE:
            raise CheckpointError(f"its pickle has an endless name at byte {self.position}")
        return decoded(self.take(end + 1 - self._at)[:-1])

    def _refill(self, nbytes: int) -> None:
        if nbytes > self.left:
            raise CheckpointError(
                f"its pickle ends at byte {self._end}, in the middle of an opcode or before STOP",
                hint="the file is truncated; download it again",
            )
        rest = self._window[self._at :]
        more = min(max(nbytes - len(rest), _WINDOW), self._end - self._next)
        self._window = rest + self._source.read(self._next, more)
        self._at = 0
        self._next += more


def decoded(raw: bytes) -> str:
    """UTF-8 as pickle writes it: lone surrogates are kept.

    Raises:
        CheckpointError: It is not UTF-8.
    """
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise CheckpointError("its pickle holds text that is not UTF-8") from error
