"""A numpy array on disk: its header is checked against the file before anything is allocated."""

from __future__ import annotations

import ast
import math
import re
import struct
import warnings
from typing import TYPE_CHECKING, Any

from normcli.errors import CheckpointError
from normcli.formats.extents import Extent, Record, contiguous
from normcli.formats.filling import read_tensor
from normcli.formats.spelling import counted, quoted
from normcli.records import ITEMSIZE

if TYPE_CHECKING:
    from torch import Tensor

    from normcli.formats.source import Source
    from normcli.records import Shape

MAGIC = b"\x93NUMPY"

_VERSIONS = ((1, 0), (2, 0), (3, 0))
_LONGEST = 4096  # bytes of a header: 64 axes of 20 digits, and what stands around them
_AXES = 64  # as numpy has it
_DESCR = re.compile(r"([<>|=]?)([biufc])(\d+)")  # byte order, kind, bytes of an entry
_KINDS = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}
_OTHERS = {"O": "Python objects", "U": "text", "S": "bytes", "V": "records", "M": "dates"}
_KEYS = {"descr", "fortran_order", "shape"}
_SAVE = "save the batch with safetensors.numpy.save_file"


def read_npy(source: Source) -> Tensor:
    """The array in a file that `numpy.save` wrote, contiguous, in this machine's byte order.

    Raises:
        CheckpointError: It is no array of numbers that torch has, or the file is shorter or longer
            than its header says.
    """
    header, start = _header(source)
    shape, fortran = _shape(header["shape"]), header["fortran_order"]
    order, dtype = _dtype(header["descr"])
    nbytes = math.prod(shape) * ITEMSIZE[dtype]
    _check_size(source.size - start, nbytes, f"{dtype} {_listed(shape)}")
    stride = contiguous(shape[::-1])[::-1] if fortran else contiguous(shape)
    record = Record(offset=start, nbytes=nbytes, crc=None, name="")
    extent = Extent(record, 0, shape, stride, dtype, swap=order == ">")
    return read_tensor(source, extent, checked=True, out=None).contiguous()


def _header(source: Source) -> tuple[dict[str, Any], int]:
    """What the header says, and where the entries begin."""
    version = tuple(source.read(0, 8)[6:])
    if version not in _VERSIONS:
        found = ".".join(map(str, version))
        raise CheckpointError(f"is a numpy array of version {found}, expected 1.0 to 3.0")
    form, at = ("<H", 10) if version == (1, 0) else ("<I", 12)
    (length,) = struct.unpack(form, source.read(8, at - 8))
    if length > _LONGEST:
        message = f"its numpy header has {length} bytes, an array of numbers needs {_LONGEST}"
        raise CheckpointError(f"{message} at most", hint=_SAVE)
    return _literal(source.read(at, length)), at + length


def _literal(raw: bytes) -> dict[str, Any]:
    """The dictionary that the header spells in Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler's, about spellings of a stranger
            header = ast.literal_eval(raw.decode("utf-8"))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise CheckpointError("its numpy header is damaged", hint=_SAVE) from error
    fits = isinstance(header, dict) and set(header) == _KEYS
    if not fits or not isinstance(header["fortran_order"], bool):
        raise CheckpointError("its numpy header is not that of an array", hint=_SAVE)
    return dict(header)


def _shape(value: object) -> Shape:
    sizes = value if isinstance(value, tuple) else (None,)
    if len(sizes) > _AXES or any(type(size) is not int or size < 0 for size in sizes):
        raise CheckpointError("its numpy header has no shape", hint=_SAVE)
    if 0 in sizes:
        raise CheckpointError(f"has shape {_listed(sizes)}, expected at least one entry")
    return sizes


def _listed(shape: Shape) -> str:
    return f"[{', '.join(map(counted, shape))}]"


def _dtype(descr: object) -> tuple[str, str]:
    """Byte order, and the dtype as torch calls it."""
    match = _DESCR.fullmatch(descr) if isinstance(descr, str) else None
    if match is not None:
        order, kind, size = match.groups()
        dtype = "bool" if kind == "b" else f"{_KINDS[kind]}{8 * int(size)}"
        if ITEMSIZE.get(dtype) == int(size):
            return order, dtype
    raise CheckpointError(f"holds {_described(descr)}, expected numbers that torch has", hint=_SAVE)


def _described(descr: object) -> str:
    letter = descr.lstrip("<>|=")[:1] if isinstance(descr, str) else "V"
    what = _OTHERS.get(letter)
    return f"{what} ({_spelled(descr)})" if what else f"entries of numpy's dtype {_spelled(descr)}"


def _spelled(descr: object) -> str:
    try:
        return quoted(descr)
    except ValueError:  # an integer of more digits than Python writes
        return "a number without end"


def _check_size(found: int, expected: int, what: str) -> None:
    if found < expected:
        raise CheckpointError(
            f"holds {found} bytes of entries, expected {counted(expected)} for {what}",
            hint="the file is truncated",
        )
    if found > expected:
        raise CheckpointError(
            f"holds {found - expected} bytes after its array of {what}",
            hint=f"one array a file; for several, {_SAVE}",
        )
