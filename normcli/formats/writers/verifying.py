"""A written output, opened again and held to its blueprint."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from normcli.errors import CheckpointError, OutputError
from normcli.formats.opening import open_checkpoint
from normcli.formats.spelling import quoted
from normcli.formats.writers.pouring import memory_of
from normcli.stream import default_budget, ordered_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from normcli.formats.base import Checkpoint
    from normcli.formats.writers.draft import Blueprint
    from normcli.records import TensorRef

_SHORT = 1 << 16  # bytes up to which Python's own time is more than the reading
_BUDGET_SCALE = 1000  # of a file that was just written


def verify(path: str, blueprint: Blueprint, checksums: Mapping[str, int], *, workers: int) -> None:
    """Open what was written, compare its header with the blueprint, and read every tensor once.

    Args:
        path: The file, or the folder of the shards.
        blueprint: What was to be written.
        checksums: Tensor → CRC-32 that `write` gave, of all files together; a tensor without one
            is held to the checksum of its file's own.
        workers: Tensors read at the same time.

    Raises:
        OutputError: It is not what it should be.
    """
    try:
        with open_checkpoint(path, budget_scale=_BUDGET_SCALE) as checkpoint:
            _check_header(checkpoint, blueprint)
            _check_tensors(checkpoint, checksums, workers)
    except CheckpointError as error:
        raise _fault(path, error.message) from error
    except OutputError as error:
        error.where = path
        raise


def _check_header(checkpoint: Checkpoint, blueprint: Blueprint) -> None:
    if checkpoint.format != blueprint.format:
        raise _fault("", f"its format is {checkpoint.format}, expected {blueprint.format}")
    for name, expected in blueprint.tensors.items():
        found = checkpoint.tensors.get(name)
        if found is None:
            raise _fault("", f"{quoted(name)} is missing")
        if _line(found) != _line(expected):
            raise _fault("", f"{quoted(name)} is {_line(found)}, expected {_line(expected)}")
    for found_name, name in zip(checkpoint.tensors, blueprint.tensors, strict=False):
        if found_name != name:
            raise _fault("", f"holds {quoted(found_name)} where {quoted(name)} should be")
    if len(checkpoint.tensors) > len(blueprint.tensors):
        extra = next(name for name in checkpoint.tensors if name not in blueprint.tensors)
        raise _fault("", f"holds {quoted(extra)}, which was not planned")


def _line(ref: TensorRef) -> str:
    return f"{ref.dtype} {list(ref.shape)}"


def _check_tensors(checkpoint: Checkpoint, checksums: Mapping[str, int], workers: int) -> None:
    def crc_of(name: str) -> int:
        crc = 0
        for piece in _bytes_of(checkpoint, name):
            crc = zlib.crc32(piece, crc) if name in checksums else 0
        return crc

    def cost(name: str) -> int:
        return 0 if checkpoint.is_contiguous(name) else checkpoint.tensors[name].nbytes

    found = ordered_map(
        crc_of,
        checkpoint.tensors,
        workers=workers,
        cost=cost,
        budget=default_budget(),
        short=lambda name: checkpoint.tensors[name].nbytes < _SHORT,
    )
    for name, crc in zip(checkpoint.tensors, list(found), strict=True):  # all threads have ended
        expected = checksums.get(name, crc)
        if crc != expected:
            raise _fault("", f"{quoted(name)} has CRC-32 {crc:08x}, expected {expected:08x}")


def _bytes_of(checkpoint: Checkpoint, name: str) -> Iterator[memoryview]:
    """All bytes of a tensor; a file with sums of its own compares them on the way."""
    if checkpoint.is_contiguous(name):
        yield from checkpoint.raw(name)
    else:
        yield from map(memory_of, checkpoint.pieces(name))


def _fault(path: str, what: str) -> OutputError:
    hint = "the disk or the file system lost data; nothing was put in place"
    return OutputError(f"was not written as planned: {what}", hint=hint, where=path)
