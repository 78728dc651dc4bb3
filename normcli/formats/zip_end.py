"""The end of a zip archive: where its central directory lies and how many entries it has."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normcli.errors import CheckpointError, RefusedError

if TYPE_CHECKING:
    from normcli.formats.budgets import Budgets
    from normcli.formats.source import Source

_END = struct.Struct("<4sHHHHIIH")  # APPNOTE.TXT 4.3.16
_LOCATOR = struct.Struct("<4sIQI")  # 4.3.15
_END64 = struct.Struct("<4sQHHIIQQQQ")  # 4.3.14


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the central directory lies.

    Attributes:
        entries: How many.
        nbytes: Its length.
        offset: In the file.
    """

    entries: int
    nbytes: int
    offset: int


def find_directory(source: Source, budgets: Budgets) -> Directory:
    """The central directory of an archive that ends with its end record.

    Raises:
        CheckpointError: No end record at the end, or a directory that does not reach up to it.
        RefusedError: More entries or bytes than the budget.
    """
    end = source.size - _END.size
    if end < 0:
        raise _truncated()
    magic, disk, first_disk, here, total, nbytes, offset, comment = _END.unpack(
        source.read(end, _END.size)
    )
    if magic != b"PK\x05\x06" or comment:
        raise _truncated()
    if (disk, first_disk) not in ((0, 0), (0xFFFF, 0xFFFF)) or here != total:
        raise CheckpointError("is one part of a zip archive on several disks")
    directory = Directory(total, nbytes, offset)
    directory, end = _zip64(source, directory, end)
    _check(directory, end, budgets)
    return directory


def _zip64(source: Source, short: Directory, end: int) -> tuple[Directory, int]:
    """The zip64 end record where there is one, and where the directory has to end."""
    at = end - _LOCATOR.size
    saturated = short.entries == 0xFFFF or 0xFFFFFFFF in (short.nbytes, short.offset)
    locator = _LOCATOR.unpack(source.read(at, _LOCATOR.size)) if at >= 0 else (b"",)
    if locator[0] != b"PK\x06\x07":
        if saturated:
            raise _truncated()
        return short, end
    place = locator[2]
    if place + _END64.size != at:
        raise CheckpointError("its zip64 end record is not in front of its locator")
    magic, size, _, _, disk, first_disk, here, total, nbytes, offset = _END64.unpack(
        source.read(place, _END64.size)
    )
    if magic != b"PK\x06\x06" or size != _END64.size - 12:
        raise CheckpointError("its zip64 end record is damaged")
    if disk or first_disk or here != total:
        raise CheckpointError("is one part of a zip archive on several disks")
    long = Directory(total, nbytes, offset)
    _check_agree(short, long)
    return long, place


def _check_agree(short: Directory, long: Directory) -> None:
    """A field of the short record is that of the long one, or full."""
    pairs = (
        (short.entries, long.entries, 0xFFFF),
        (short.nbytes, long.nbytes, 0xFFFFFFFF),
        (short.offset, long.offset, 0xFFFFFFFF),
    )
    if any(small not in (large, full) for small, large, full in pairs):
        raise CheckpointError("its two zip end records contradict each other")


def _check(directory: Directory, end: int, budgets: Budgets) -> None:
    if directory.entries > budgets.entries or directory.nbytes > budgets.directory:
        raise RefusedError(
            f"its zip directory claims {directory.entries} entries in {directory.nbytes} bytes, "
            f"the limits are {budgets.entries} and {budgets.directory}",
            hint="--budget-scale raises the limit, if you trust the file",
        )
    if directory.offset + directory.nbytes != end:
        raise CheckpointError(
            f"its zip directory ends at byte {directory.offset + directory.nbytes}, expected {end}",
            hint="the file is truncated, or something was put in front of it",
        )


def _truncated() -> CheckpointError:
    return CheckpointError(
        "starts like a zip archive, but does not end with a zip end record",
        hint="the file is truncated, or something was appended to it; download it again",
    )
