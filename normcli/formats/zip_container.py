"""The zip container of torch.save: its directory, read by rules that leave one reading of a file.

Two zip readers may disagree about a crafted archive; a gate must not. So a directory is accepted
only where every reader finds the same entries: unique names, local headers that say what the
directory says, nothing overlapping, nothing before, behind or in front of its place.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normcli.errors import CheckpointError, RefusedError
from normcli.formats.spelling import quoted
from normcli.formats.zip_end import find_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from normcli.formats.budgets import Budgets
    from normcli.formats.source import Source

STORED = 0

_CENTRAL = struct.Struct("<4s4BHHHHIIIHHHHHII")  # APPNOTE.TXT 4.3.12
_LOCAL = struct.Struct("<4sHHHHHIIIHH")  # 4.3.7
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000  # flags: encrypted, strongly encrypted, masked header
_DESCRIPTOR = 0x0008  # flag: sizes follow the data, the local header has none
_FULL = 0xFFFFFFFF  # a field whose value is in the zip64 extra


@dataclass(slots=True)
class Entry:
    """A file of the archive.

    Attributes:
        name: Below the top folder.
        method: Compression; 0 is stored.
        crc: CRC-32 of its bytes.
        packed: Bytes as stored.
        nbytes: Bytes as unpacked.
        header: Offset of its local header.
        offset: Offset of its bytes, once the local header was read.
    """

    name: str
    method: int
    crc: int
    packed: int
    nbytes: int
    header: int
    offset: int = -1


def read_entries(source: Source, budgets: Budgets) -> dict[str, Entry]:
    """Name below the one top folder → entry; directory entries are left out.

    Raises:
        CheckpointError: A rule of the container does not hold.
        RefusedError: It is encrypted, or over budget.
    """
    directory = find_directory(source, budgets)
    raw = source.read(directory.offset, directory.nbytes)
    entries = list(_central_entries(raw, directory.entries))
    _check_names(entries)
    _check_places(source, entries, directory.offset)
    top = _strip_top(entries)
    if not top and all(entry.name.endswith(".npy") for entry in entries):
        raise CheckpointError(
            "is a numpy archive, which normcli does not read", hint="save it with safetensors"
        )
    if not top:
        raise CheckpointError("its entries are not in one top folder, as torch.save writes them")
    return {entry.name: entry for entry in entries if entry.name}


def _central_entries(raw: bytes, count: int) -> Iterator[Entry]:
    at = 0
    for _ in range(count):
        if len(raw) - at < _CENTRAL.size or not raw.startswith(b"PK\x01\x02", at):
            raise CheckpointError(f"its zip directory is damaged at byte {at}")
        entry, nbytes = _central_entry(raw, at)
        at += nbytes
        yield entry
    if at != len(raw):
        raise CheckpointError(f"its zip directory has {len(raw)} bytes, its {count} entries {at}")


def _central_entry(raw: bytes, at: int) -> tuple[Entry, int]:
    (_, _, _, _, _, flags, method, _, _, crc, packed, nbytes, *rest) = _CENTRAL.unpack_from(raw, at)
    (name_size, extra_size, comment_size, disk, _, _, header) = rest
    total = _CENTRAL.size + name_size + extra_size + comment_size
    if at + total > len(raw):
        raise CheckpointError(f"its zip directory is damaged at byte {at}")
    name_end = at + _CENTRAL.size + name_size
    name = _decoded(raw[at + _CENTRAL.size : name_end])
    extra = raw[name_end : name_end + extra_size]
    nbytes, packed, header = _zip64(extra, (nbytes, packed, header), name)
    if flags & _ENCRYPTED:
        raise RefusedError(f"its entry {quoted(name)} is encrypted")
    if disk not in (0, 0xFFFF):
        raise CheckpointError(f"its entry {quoted(name)} is on another disk")
    if method == STORED and packed != nbytes:
        raise CheckpointError(
            f"its entry {quoted(name)} is stored in {packed} bytes, expected {nbytes}"
        )
    return Entry(name, method, crc, packed, nbytes, header), total


def _decoded(name: bytes) -> str:
    if b"\0" in name or not name:
        raise CheckpointError(f"a zip entry is named {quoted(name)}")
    return name.decode("utf-8", "surrogateescape")


def _zip64(extra: bytes, values: tuple[int, int, int], name: str) -> tuple[int, int, int]:
    """Fields that are full stand in the zip64 extra, in this order (4.5.3)."""
    if _FULL not in values:
        return values
    field = _extra_field(extra, 1)
    if field is None or len(field) < 8 * values.count(_FULL):
        raise CheckpointError(f"zip entry {quoted(name)} lacks its zip64 sizes")
    numbers = iter(struct.unpack_from(f"<{values.count(_FULL)}Q", field))
    first, second, third = (next(numbers) if v == _FULL else v for v in values)
    return first, second, third


def _extra_field(extra: bytes, wanted: int) -> bytes | None:
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind == wanted:
            return extra[at + 4 : at + 4 + size]
        at += 4 + size
    return None


def _check_names(entries: list[Entry]) -> None:
    """No name twice; also not in another case, since torch looks names up without case."""
    seen: dict[str, str] = {}
    for entry in entries:
        other = seen.setdefault(entry.name.casefold(), entry.name)
        if other is not entry.name:
            raise CheckpointError(
                f"holds two zip entries of one name: {quoted(other)} and {quoted(entry.name)}"
            )


def _check_places(source: Source, entries: list[Entry], directory: int) -> None:
    """Entries one behind the other, the first at byte 0, the last before the directory."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header):
        if end == 0 and entry.header != 0:
            raise CheckpointError(f"has {entry.header} bytes before its first zip entry")
        if entry.header < end:
            raise CheckpointError(f"its zip entry {quoted(entry.name)} overlaps the one before")
        entry.offset = _data_offset(source, entry, directory)
        end = entry.offset + entry.packed
        if end > directory:
            raise CheckpointError(
                f"its zip entry {quoted(entry.name)} ends at byte {end}, behind the start of the "
                f"directory at {directory}"
            )


def _data_offset(source: Source, entry: Entry, directory: int) -> int:
    """Where the bytes of an entry begin, its local header compared with the directory."""
    name = entry.name.encode("utf-8", "surrogateescape")
    need = _LOCAL.size + len(name)
    if entry.header + need > directory:
        raise CheckpointError(f"its zip entry {quoted(entry.name)} lies outside the payload")
    local = source.read(entry.header, need)
    (magic, _, flags, method, _, _, _, packed, nbytes, name_size, extra_size) = _LOCAL.unpack_from(
        local
    )
    if magic != b"PK\x03\x04":
        raise CheckpointError(f"its zip entry {quoted(entry.name)} has no local header")
    if flags & _ENCRYPTED:
        raise RefusedError(f"its entry {quoted(entry.name)} is encrypted")
    if name_size != len(name) or local[_LOCAL.size :] != name:
        raise CheckpointError(
            f"its zip entry {quoted(entry.name)} has another name in its local header"
        )
    sizes_differ = (packed, nbytes) != (entry.packed, entry.nbytes)
    deferred = flags & _DESCRIPTOR or _FULL in (packed, nbytes)
    if method != entry.method or (sizes_differ and not deferred):
        raise CheckpointError(
            f"its zip entry {quoted(entry.name)} has another size or method in its local header"
        )
    return int(entry.header + need + extra_size)


def _strip_top(entries: list[Entry]) -> str:
    """The one folder that all entries are in, taken off their names; empty where there is none."""
    tops = {entry.name.partition("/")[0] for entry in entries}
    if len(tops) != 1 or not all("/" in entry.name for entry in entries):
        return ""
    top = tops.pop()
    for entry in entries:
        entry.name = entry.name[len(top) + 1 :]
        if entry.name.endswith("/"):
            entry.name = ""
    return top
