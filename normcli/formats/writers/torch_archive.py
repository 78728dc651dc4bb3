"""A zip archive as torch.save lays it out, of a size that is known before anything is written.

There is no record `.format_version`: it tells torch that offsets can be computed as its own zip
writer would choose them, data descriptors included, which `zipfile` does not write.
"""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normcli.errors import OutputError
from normcli.formats.filling import compare_crc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from normcli.formats.extents import Record

ALIGNMENT = 64  # bytes; where torch.save begins its records

_FOLDER = "archive"
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # of the zip format: the same input gives the same bytes
_PADDING = 0x4246  # "FB": what torch.save calls an extra field that only takes room
_LOCAL, _CENTRAL, _END = 30, 46, 22  # bytes of headers without names (APPNOTE.TXT 4.3.7 to 4.3.16)
_ZIP64_LOCAL, _ZIP64_END = 20, 56 + 20  # what sizes of 64 bits add to them


@dataclass(frozen=True, slots=True)
class Member:
    """A record of the archive.

    Attributes:
        name: Below the one folder; ASCII.
        nbytes: Of its content.
        copied: The record of the input that it is byte for byte; None where it is another.
    """

    name: str
    nbytes: int
    copied: Record | None = None

    @property
    def path(self) -> str:
        """With the folder."""
        return f"{_FOLDER}/{self.name}"

    @property
    def is_large(self) -> bool:
        """Whether its sizes take 64 bits."""
        return self.nbytes > zipfile.ZIP64_LIMIT

    def padding(self, at: int) -> bytes:
        """The extra field of a header at byte `at` that aligns the content behind it."""
        start = at + _LOCAL + len(self.path) + _ZIP64_LOCAL * self.is_large
        need = -start % ALIGNMENT
        if need == 0:
            return b""
        if need < 4:  # an extra field has a head of four bytes
            need += ALIGNMENT
        return struct.pack("<HH", _PADDING, need - 4) + bytes(need - 4)

    def end(self, at: int) -> int:
        """Where it ends if its header is at byte `at`."""
        header = _LOCAL + len(self.path) + len(self.padding(at)) + _ZIP64_LOCAL * self.is_large
        return at + header + self.nbytes

    def directory_bytes(self, at: int) -> int:
        """Of its line in the directory."""
        fields = 2 * self.is_large + (at > zipfile.ZIP64_LIMIT)
        return _CENTRAL + len(self.path) + (4 + 8 * fields if fields else 0)


def archive_bytes(members: Sequence[Member]) -> int:
    """Size of the archive that `write_archive` writes."""
    at = directory = 0
    for member in members:
        directory += member.directory_bytes(at)
        at = member.end(at)
    is_large = max(at, directory) > zipfile.ZIP64_LIMIT
    is_long = len(members) > zipfile.ZIP_FILECOUNT_LIMIT
    return at + directory + _END + _ZIP64_END * (is_large or is_long)


def write_archive(out: BinaryIO, members: Iterator[tuple[Member, Iterator[memoryview]]]) -> None:
    """Write an archive, record by record, each piece by piece.

    Args:
        out: Empty and seekable.
        members: Each with its content; a CRC-32 is computed on the way.

    Raises:
        CheckpointError: A record that was copied has another CRC-32 than the input promises.
        OutputError: A content is not as long as its member says.
    """
    at = 0
    with zipfile.ZipFile(_WholeWrites(out), "w", zipfile.ZIP_STORED) as archive:
        for member, pieces in members:
            entry = zipfile.ZipInfo(member.path, _FIRST_DAY)
            entry.extra = member.padding(at)
            with archive.open(entry, "w", force_zip64=member.is_large) as record:
                for piece in pieces:
                    record.write(piece)
            if entry.file_size != member.nbytes:
                raise OutputError(
                    f"record {member.name} has {entry.file_size} bytes, expected {member.nbytes}"
                )
            if member.copied is not None and member.copied.crc is not None:
                compare_crc(member.copied, entry.CRC)
            entry.extra = b""  # the directory needs no padding
            at = member.end(at)


class _WholeWrites:
    """A file that takes every byte it is given: an unbuffered one may take fewer at once."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.seek, self.tell, self.flush = out.seek, out.tell, out.flush

    def write(self, data: bytes, /) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[self._out.write(rest) :]
        return len(data)

    def close(self) -> None:
        """Whoever opened the file closes it."""
