"""Archives that break one rule of the zip container, made from a good one."""

from __future__ import annotations

import io
import struct
import zipfile

import hostile

NUMBERS = struct.pack("<4f", 1.0, -2.0, 0.5, 3.0)
GOOD = hostile.archive(hostile.state_dict(a=hostile.tensor()))


def repacked(change):
    """The good archive after `change` was applied to a mutable copy."""
    content = bytearray(GOOD)
    change(content)
    return bytes(content)


def patched(old, new, *, count=-1):
    assert GOOD.count(old) >= 1
    return GOOD.replace(old, new, count)


def with_entry(name, content=b"x"):
    return hostile.archive(hostile.state_dict(a=hostile.tensor()), extra=[(name, content)])


def central(content, name):
    """Offset of the directory entry of that name."""
    start = content.rindex(name) - 46
    assert content[start : start + 4] == b"PK\x01\x02"
    return start


def encrypted(content):
    content[central(content, b"archive/data/0") + 8] |= 1


def encrypted_locally(content):
    content[6] |= 1


def moved(content):
    """The directory says that data/0 begins where data.pkl does."""
    struct.pack_into("<I", content, central(content, b"archive/data/0") + 42, 0)


def outside(content):
    struct.pack_into("<I", content, central(content, b"archive/data/0") + 42, len(content))


def larger(content):
    struct.pack_into("<II", content, central(content, b"archive/version") + 20, 5000, 5000)
    struct.pack_into("<II", content, content.index(b"archive/version") - 12, 5000, 5000)


def unequal(content):
    struct.pack_into("<I", content, central(content, b"archive/data/0") + 24, 17)


def another_count(content):
    struct.pack_into("<HH", content, len(content) - 14, 3, 3)


def huge_count(content):
    struct.pack_into("<HH", content, len(content) - 14, 65000, 65000)


def other_disk(content):
    struct.pack_into("<H", content, len(content) - 18, 1)


def broken_directory(content):
    content[central(content, b"archive/data/0")] = 0


def nul_name(content):
    at = content.rindex(b"archive/version")
    content[at + 8] = 0


def shifted():
    """Thirty-two bytes in front, and every offset that much higher."""
    content = bytearray(b"PK\x03\x04" + bytes(28) + GOOD)
    end = len(content) - 22
    offset = struct.unpack_from("<I", content, end + 16)[0]
    struct.pack_into("<I", content, end + 16, offset + 32)
    at = offset + 32
    while content[at : at + 4] == b"PK\x01\x02":
        lengths = struct.unpack_from("<HHH", content, at + 28)
        header = struct.unpack_from("<I", content, at + 42)[0]
        struct.pack_into("<I", content, at + 42, header + 32)
        at += 46 + sum(lengths)
    return bytes(content)


def compressed(name, content=GOOD):
    """An archive packed again, one entry of it compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed, zipfile.ZipFile(io.BytesIO(content)) as plain:
        for info in plain.infolist():
            squeeze = info.filename == f"archive/{name}"
            kind = zipfile.ZIP_DEFLATED if squeeze else zipfile.ZIP_STORED
            packed.writestr(info.filename, plain.read(info), compress_type=kind)
    return buffer.getvalue()


def many_entries(count):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr("archive/data.pkl", hostile.state_dict(a=hostile.tensor()))
        packed.writestr("archive/data/0", NUMBERS)
        packed.writestr("archive/version", b"3\n")
        for index in range(1, count - 2):
            packed.writestr(zipfile.ZipInfo(f"archive/data/{index}"), b"")
    return buffer.getvalue()
