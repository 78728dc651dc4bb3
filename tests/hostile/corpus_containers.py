"""Group A: what is no checkpoint, and archives that two readers would read in two ways."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tarfile
import warnings
import zipfile
import zlib

import hostile
import numpy as np
import torch
import zip_files
from cases import READ, REFUSED, Case, written
from zip_files import GOOD, patched, repacked, with_entry

_WRONG_KIND = "a message about opcodes helps nobody"
_TWO_READINGS = "two readers find two checkpoints"


def _refused(name, content, says, why, **more):
    build = written("model.pt", content if callable(content) else lambda: content)
    return Case(name, "A", build, REFUSED, says, why, **more)


def _read(name, content, why, verdict=READ, says=""):
    return Case(name, "A", written("model.pt", content), verdict, says, why)


def _each(name, contents, says, why):
    """One case of many files, none of which is read."""

    def build(folder):
        paths = []
        for label, content in contents():
            paths.append(folder / f"{label}.pt")
            paths[-1].write_bytes(content)
        return paths

    return Case(name, "A", build, REFUSED, says, why)


def _truncated():
    return ((f"{part}-percent", GOOD[: len(GOOD) * part // 100]) for part in range(5, 100, 5))


def _random():
    drawn = random.Random(1)
    return ((f"{size}-bytes", b"~" + drawn.randbytes(size - 1)) for size in (1, 9, 300, 100_000))


def _tar():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as packed:
        packed.addfile(tarfile.TarInfo("storages"))
    return buffer.getvalue()


def _npz():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


def _two_pickles():
    """Another pickle under the same name; readers take the first, or the last."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return with_entry("archive/data.pkl", hostile.state_dict(b=hostile.tensor()))


def _bomb():
    """200 MB of zeros as the storage, in 200 kB."""
    buffer = io.BytesIO()
    data = hostile.state_dict(a=hostile.tensor(numel=50_000_000, shape=(50_000_000,)))
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("archive/data.pkl", data, compress_type=zipfile.ZIP_STORED)
        packed.writestr("archive/data/0", bytes(200_000_000))
    return buffer.getvalue()


def _unread_bomb():
    """An entry that no tensor names."""
    packer = zlib.compressobj(wbits=-15)
    squeezed = packer.compress(bytes(50_000_000)) + packer.flush()
    data = hostile.state_dict(a=hostile.tensor())
    extra = [("archive/extra", squeezed)]
    content = bytearray(hostile.archive(data, {"0": zip_files.NUMBERS}, extra=extra))
    for at in (zip_files.central(content, b"archive/extra"), content.index(b"archive/extra") - 30):
        shift = 2 if content[at : at + 4] == b"PK\x01\x02" else 0
        struct.pack_into("<H", content, at + 8 + shift, zipfile.ZIP_DEFLATED)
        struct.pack_into("<I", content, at + 22 + shift, 50_000_000)
    return bytes(content)


def _flipped(at, *, of):
    content = bytearray(GOOD)
    content[content.index(of) + len(of) + at] ^= 1
    return bytes(content)


def _claiming(entries, nbytes):
    """A zip64 end record that promises a directory of another size."""
    offset, end = struct.unpack_from("<I", GOOD, len(GOOD) - 6)[0], len(GOOD) - 22
    long = struct.pack(
        "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, nbytes, offset
    )
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    full = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, *[0xFFFFFFFF] * 2, 0)
    return GOOD[:end] + long + locator + full


def _big_endian():
    values = torch.tensor([1.0, -2.5, 3e-5, 4.0]).numpy().byteswap().tobytes()
    return hostile.archive(
        hostile.state_dict(a=hostile.tensor(shape=(2, 2), stride=(2, 1))),
        {"0": values},
        byteorder=b"big",
    )


class _Scripted(torch.nn.Module):
    """Its code writes a line when it is run."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.eye(3))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        print("the code of the file was run")  # noqa: T201 - to be seen if it is
        return values @ self.weight


def _script():
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(_Scripted()), buffer)
    return buffer.getvalue()


_OTHER_FILES = (
    _refused("empty", b"", "is empty", _WRONG_KIND),
    _refused("four bytes", b"abcd", "its 4 bytes start with 61 62 63 64", _WRONG_KIND),
    _each("truncated at every 5 %", _truncated, "", "a download that stopped gives half a model"),
    _each("random", _random, "is not a checkpoint", _WRONG_KIND),
    _refused("HTML", b"<!DOCTYPE html>\n<html>", "is a web page", _WRONG_KIND),
    _refused("git-lfs pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
             "is a git-lfs pointer", _WRONG_KIND),
    _refused("gzip", lambda: gzip.compress(GOOD, mtime=0), "compressed with gzip", _WRONG_KIND),
    _refused("GGUF", b"GGUF\x03\0\0\0" + bytes(64), "is a GGUF file", _WRONG_KIND),
    _refused("ONNX", b"\x08\x07\x12\x07pytorch\x1a\x051.13.", "an ONNX file", _WRONG_KIND),
    _refused("HDF5", b"\x89HDF\r\n\x1a\n" + bytes(64), "is an HDF5 file", _WRONG_KIND),
    _refused("npz", _npz, "is a numpy archive", _WRONG_KIND),
    _refused("tar", _tar, "is a tar archive", _WRONG_KIND),
)  # fmt: skip

_ARCHIVES = (
    _refused("junk before the zip", b"junk" + GOOD, "is not a checkpoint", _TWO_READINGS),
    _refused("junk before the first entry", zip_files.shifted,
             "has 32 bytes before its first zip entry", _TWO_READINGS),
    _refused("junk after the zip", GOOD + b"junk", "does not end with a zip end record",
             _TWO_READINGS),
    _refused("a comment after the zip", GOOD[:-2] + b"\x04\0note",
             "does not end with a zip end record", "another end record hides in it"),
    _refused("two data.pkl", _two_pickles, "holds two zip entries of one name", _TWO_READINGS),
    _refused("DATA.PKL beside data.pkl", lambda: with_entry("archive/DATA.PKL"),
             "holds two zip entries of one name", "torch looks names up without case"),
    _refused("a second folder", lambda: with_entry("other/data.pkl"),
             "its entries are not in one top folder", _TWO_READINGS),
    _refused("local name is not the central name",
             lambda: patched(b"archive/data/0", b"archive/data/9", count=1),
             "has another name in its local header", _TWO_READINGS),
    _refused("overlapping entries", lambda: repacked(zip_files.moved), "overlaps the one before",
             "one byte stands in two tensors"),
    _refused("an entry outside the file", lambda: repacked(zip_files.outside),
             "lies outside the payload", "reads past the end"),
    _refused("an entry that reaches into the directory", lambda: repacked(zip_files.larger),
             "behind the start of the directory", "the directory becomes numbers"),
    _refused("encrypted flag", lambda: repacked(zip_files.encrypted), "is encrypted",
             "ciphertext becomes numbers"),
    _refused("deflated data", lambda: zip_files.compressed("data/0", GOOD),
             "its record 'data/0' is compressed", "torch.load(mmap=True) reads it as NaN"),
    _refused("deflated data.pkl", lambda: zip_files.compressed("data.pkl", GOOD),
             "its record 'data.pkl' is compressed", "its size is known only when it is unpacked"),
    _refused("deflated bomb", _bomb, "its record 'data/0' is compressed", "fills the memory"),
    _refused("CRC mismatch of data.pkl",
             lambda: patched(b"_rebuild_tensor_v2", b"_rebuild_tensor_v3"), "has CRC-32",
             "bit rot that torch does not look for"),
    _refused("CRC mismatch of a tensor", lambda: _flipped(3, of=b"archive/data/0"),
             "'a': record 'data/0' has CRC-32", "a weight that changed on the disk",
             command="inspect"),
    _refused("huge central directory", lambda: _claiming(2**40, 2**46),
             "its zip directory claims 1099511627776 entries", "fills the memory"),
    _refused("no data.pkl", lambda: GOOD.replace(b"data.pkl", b"data.txt"),
             "is a zip archive without data.pkl", _WRONG_KIND),
    _refused("byteorder middle", lambda: hostile.archive(
        hostile.state_dict(a=hostile.tensor()), byteorder=b"middle"),
        "its byte order is 'middle', expected little or big", "numbers in an order nobody knows"),
)  # fmt: skip

_VALID = (
    _read("deflated bomb that no tensor names", _unread_bomb, "fills the memory"),
    _read("zip64 with 70,000 entries", lambda: zip_files.many_entries(70_000),
          "a count of 16 bits wraps around"),
    _read("byteorder big", _big_endian, "numbers with their bytes reversed"),
    _read("TorchScript", _script, "its code is run when it is loaded"),
)  # fmt: skip

CASES: tuple[Case, ...] = (*_OTHER_FILES, *_ARCHIVES, *_VALID)
