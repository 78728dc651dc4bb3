"""Bytes of a file into the memory of a torch tensor, without a copy in between."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from normcli.errors import CheckpointError
from normcli.formats.extents import data_bytes
from normcli.records import ITEMSIZE

if TYPE_CHECKING:
    from torch import Tensor

    from normcli.formats.extents import Extent, Record
    from normcli.formats.source import Source

_CRC_CHUNK = 1 << 24  # bytes: zlib lets other threads run between two of them


def read_tensor(source: Source, extent: Extent, *, checked: bool, out: Tensor | None) -> Tensor:
    """The tensor that `extent` describes.

    Args:
        source: The open file.
        extent: Was checked by `check_view`.
        checked: Whether the CRC of the record is known to be right.
        out: Memory to read into instead of new memory: uint8, 1-D, contiguous, large enough.
    """
    import torch

    dtype = getattr(torch, extent.dtype)
    if data_bytes(extent.shape, extent.dtype) == 0:
        return _empty(extent)
    itemsize = ITEMSIZE[extent.dtype]
    nbytes = extent.span * itemsize
    memory = _memory(nbytes, out)
    view = memoryview(memory.numpy())  # type: ignore[arg-type]  # numpy's stub for 3.10
    record = extent.record
    source.fill(view, record.offset + extent.start * itemsize)
    if not checked and record.crc is not None:
        _check_record(source, record, view)
    if extent.swap:
        memory = _swapped(memory, extent.dtype)
    return memory.view(dtype).as_strided(extent.shape, extent.stride)


def check_crc(source: Source, record: Record) -> None:
    """Read all of a record and compare its CRC-32.

    Raises:
        CheckpointError: It differs.
    """
    crc = 0
    for piece in source.chunks(record.offset, record.nbytes):
        crc = zlib.crc32(piece, crc)
    _compare(record, crc)


def _memory(nbytes: int, out: Tensor | None) -> Tensor:
    """`nbytes` of uint8: the start of `out`, or new and 64-byte aligned as torch allocates."""
    import torch

    if out is None:
        return torch.empty(nbytes, dtype=torch.uint8)
    if out.dtype != torch.uint8 or out.ndim != 1 or not out.is_contiguous():
        raise ValueError("out has to be a contiguous 1-D tensor of uint8")
    if out.numel() < nbytes:
        raise ValueError(f"out has {out.numel()} bytes, expected {nbytes} or more")
    return out[:nbytes]


def _empty(extent: Extent) -> Tensor:
    import torch

    try:
        return torch.empty_strided(extent.shape, extent.stride, dtype=getattr(torch, extent.dtype))
    except RuntimeError as error:  # the sizes beside the 0 overflow when torch multiplies them
        raise CheckpointError(f"torch has no tensor of shape {extent.shape}") from error


def _check_record(source: Source, record: Record, view: memoryview) -> None:
    """Compare the CRC-32 of a record of which `view` was read; all of it where that is possible."""
    if len(view) < record.nbytes:
        check_crc(source, record)
        return
    crc = 0
    for start in range(0, len(view), _CRC_CHUNK):
        crc = zlib.crc32(view[start : start + _CRC_CHUNK], crc)
    _compare(record, crc)


def _compare(record: Record, crc: int) -> None:
    if crc != record.crc:
        raise CheckpointError(
            f"record '{record.name}' has CRC-32 {crc:08x}, expected {record.crc:08x}",
            hint="the file is damaged, or was written with torch's set_crc32_options(False)",
        )


def _swapped(memory: Tensor, dtype: str) -> Tensor:
    """The numbers in this machine's byte order; a complex number is two of them."""
    width = ITEMSIZE[dtype] // (2 if dtype.startswith("complex") else 1)
    return memory.view(-1, width).flip(1).reshape(-1)
