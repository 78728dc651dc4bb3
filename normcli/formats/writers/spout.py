"""The end of a file that is being written: takes every byte, by the system's own copy if it can."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from normcli.formats.extents import Place

_WORTH = 1 << 16  # bytes from which a call of the system is cheaper than a copy through memory


class Spout:
    """A file that takes every byte it is given: an unbuffered one may take fewer at once.

    Inside of `copying` what is written is known to lie in another file, and the system copies it
    from there: three times as fast. Whoever writes has read and summed the bytes, so that reading
    the output back shows if it copied others.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._descriptor = _descriptor(out)
        self._place: Place | None = None
        self._done = 0  # bytes written since `copying` began
        self.seek, self.tell, self.flush = out.seek, out.tell, out.flush

    @contextmanager
    def copying(self, place: Place | None) -> Iterator[None]:
        """What is written in the block lies, in the same order, from `place` on."""
        self._place, self._done = place, 0
        try:
            yield
        finally:
            self._place = None

    def write(self, data: memoryview | bytes, /) -> int:
        """Write all of it."""
        rest = memoryview(data)[self._copied(len(data)) :]
        while rest:
            rest = rest[self._out.write(rest) :]
        self._done += len(data)
        return len(data)

    def _copied(self, nbytes: int) -> int:
        """Bytes that the system copied; it is not asked again once it has not."""
        if self._place is None or self._descriptor < 0 or nbytes < _WORTH:
            return 0
        self._out.flush()
        at = self._out.tell()
        offset = self._place.offset + self._done
        count = self._place.source.copy_to(self._descriptor, at, offset, nbytes)
        if count:
            self._out.seek(at + count)
        else:
            self._descriptor = -1
        return count

    def close(self) -> None:
        """Whoever opened the file closes it."""


def _descriptor(out: BinaryIO) -> int:
    """Of the file; -1 where it has none, as one in memory."""
    try:
        return out.fileno()
    except (OSError, AttributeError):
        return -1
