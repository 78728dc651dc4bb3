"""Bytes of a file into the memory of a torch tensor, without a copy in between."""

from __future__ import annotations

import math
import mmap
import zlib
from typing import TYPE_CHECKING

from normcli.errors import CheckpointError
from normcli.formats.extents import data_bytes, overlaps
from normcli.records import ITEMSIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import Tensor

    from normcli.formats.extents import Extent, Record
    from normcli.formats.source import Source

_HUGE = 1 << 22  # bytes from which huge pages pay: two of them
_STREAM = 1 << 18  # bytes: with their float64 copy they stay in the second-level cache of a core
RAW_BUFFERS = 3  # of `read_raw`: one in use and two ahead of it
PIECE = 1 << 20  # bytes that stay in a core's cache between the read and the CRC


def read_tensor(source: Source, extent: Extent, *, checked: bool, out: Tensor | None) -> Tensor:
    """The tensor that `extent` describes.

    Args:
        source: The open file.
        extent: Was checked by `check_view`.
        checked: Whether the CRC of the record is known to be right.
        out: Memory to read into instead of new memory where it is large enough; uint8, 1-D.
    """
    dtype = _torch_dtype(extent.dtype)
    if data_bytes(extent.shape, extent.dtype) == 0:
        return _empty(extent)
    itemsize = ITEMSIZE[extent.dtype]
    memory, view = _memory(extent.span * itemsize, out)
    record = extent.record
    if checked or record.crc is None:
        source.fill(view, record.offset + extent.start * itemsize)
    elif len(view) == record.nbytes:
        _fill_checked(source, record, view)
    else:
        source.fill(view, record.offset + extent.start * itemsize)
        check_crc(source, record)
    if extent.swap:
        memory = _swapped(memory, extent.dtype)
    return memory.view(dtype).as_strided(extent.shape, extent.stride)


def _torch_dtype(name: str) -> torch.dtype:
    import torch

    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        message = f"has dtype {name}, which torch {torch.__version__} does not have"
        raise CheckpointError(message, hint="a newer torch reads it")
    return dtype


def read_pieces(source: Source, extent: Extent, *, checked: bool) -> Iterator[Tensor]:
    """All entries of the tensor, 256 KiB at a time, in one buffer that is used again.

    A tensor whose entries do not lie end to end comes in one piece.
    """
    import torch

    itemsize = ITEMSIZE[extent.dtype]
    whole = math.prod(extent.shape) * itemsize
    if extent.swap or extent.span * itemsize != whole or overlaps(extent.shape, extent.stride):
        yield read_tensor(source, extent, checked=checked, out=None).flatten()
        return
    dtype = _torch_dtype(extent.dtype)
    for piece in _bytes_of(source, extent, checked=checked, size=_STREAM, buffers=1):
        yield torch.frombuffer(piece, dtype=dtype)


def read_raw(source: Source, extent: Extent, *, checked: bool) -> Iterator[memoryview]:
    """The bytes of a contiguous tensor, little-endian, in `RAW_BUFFERS` buffers in turn."""
    if extent.swap:
        tensor = read_tensor(source, extent, checked=checked, out=None)
        array = tensor.reshape(-1).view(_torch_dtype("uint8")).numpy()
        yield memoryview(array)  # type: ignore[arg-type]  # numpy's stub for 3.10
        return
    yield from _bytes_of(source, extent, checked=checked, size=PIECE, buffers=RAW_BUFFERS)


def _bytes_of(
    source: Source, extent: Extent, *, checked: bool, size: int, buffers: int
) -> Iterator[memoryview]:
    """The bytes from the first element to the last; the CRC of a whole record on the way."""
    record, itemsize = extent.record, ITEMSIZE[extent.dtype]
    start, whole = record.offset + extent.start * itemsize, extent.span * itemsize
    summed = record.crc is not None and not checked and whole > 0
    if summed and whole < record.nbytes:
        check_crc(source, record)
        summed = False
    crc = 0
    for piece in source.chunks(start, whole, size=size, buffers=buffers):
        crc = zlib.crc32(piece, crc) if summed else 0
        yield piece
    if summed:
        compare_crc(record, crc)


def check_crc(source: Source, record: Record) -> None:
    """Read all of a record and compare its CRC-32.

    Raises:
        CheckpointError: It differs.
    """
    crc = 0
    for piece in source.chunks(record.offset, record.nbytes):
        crc = zlib.crc32(piece, crc)
    compare_crc(record, crc)


def _memory(nbytes: int, out: Tensor | None) -> tuple[Tensor, memoryview]:
    """`nbytes` of uint8, and a view to write through: the start of `out`, or new memory.

    Large new memory asks for huge pages: touching fresh pages of 4 KiB takes longer than the read.
    """
    import torch

    if out is not None and out.numel() < nbytes:
        out = None
    if out is None and nbytes >= _HUGE:
        try:
            area = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as error:
            raise CheckpointError(f"needs {nbytes} bytes of memory: {error.strerror}") from error
        if hasattr(mmap, "MADV_HUGEPAGE"):
            area.madvise(mmap.MADV_HUGEPAGE)
        return torch.frombuffer(area, dtype=torch.uint8), memoryview(area)
    memory = torch.empty(nbytes, dtype=torch.uint8) if out is None else out[:nbytes]
    return memory, memoryview(memory.numpy())  # type: ignore[arg-type]  # numpy's stub for 3.10


def _empty(extent: Extent) -> Tensor:
    import torch

    try:
        return torch.empty_strided(extent.shape, extent.stride, dtype=_torch_dtype(extent.dtype))
    except RuntimeError as error:  # the sizes beside the 0 overflow when torch multiplies them
        raise CheckpointError(f"torch has no tensor of shape {extent.shape}") from error


def _fill_checked(source: Source, record: Record, view: memoryview) -> None:
    """Read a whole record, and compare its CRC-32 piece by piece while the cache holds it."""
    crc = 0
    for start in range(0, len(view), PIECE):
        piece = view[start : start + PIECE]
        source.fill(piece, record.offset + start)
        crc = zlib.crc32(piece, crc)
    compare_crc(record, crc)


def compare_crc(record: Record, crc: int) -> None:
    """Hold the CRC-32 of what was read against what the file promises.

    Raises:
        CheckpointError: They differ.
    """
    if crc != record.crc:
        raise CheckpointError(
            f"record '{record.name}' has CRC-32 {crc:08x}, expected {record.crc:08x}",
            hint="the file is damaged, or was written with torch's set_crc32_options(False)",
        )


def _swapped(memory: Tensor, dtype: str) -> Tensor:
    """The numbers in this machine's byte order; a complex number is two of them."""
    width = ITEMSIZE[dtype] // (2 if dtype.startswith("complex") else 1)
    return memory.view(-1, width).flip(1).reshape(-1)
