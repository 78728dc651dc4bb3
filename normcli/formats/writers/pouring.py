"""Bytes of torch tensors into a file, without a copy in between."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, TypeVar

from normcli.errors import OutputError
from normcli.formats.spelling import quoted
from normcli.stream import ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from torch import Tensor

    from normcli.formats.base import Checkpoint
    from normcli.records import Given

_Item = TypeVar("_Item")

_PIECE = 1 << 20  # bytes that stay in a core's cache between the CRC and the write
_LARGE = 8 << 20  # bytes from which another thread is worth its start


def given_bytes(
    checkpoint: Checkpoint, given: Given, made: Callable[[str], Tensor]
) -> Iterator[memoryview]:
    """The entries of a tensor of the output in the order of its shape, piece by piece.

    Args:
        checkpoint: Holds it where it is kept; there it is read piece by piece too, if it is
            contiguous.
        given: The tensor.
        made: Gives it where it is made, by its name in the output.

    Raises:
        CheckpointError: The input is not what its header promised.
        OutputError: What was made has another shape or dtype than `given` says.
    """
    if given.kept and checkpoint.is_contiguous(given.kept):
        yield from checkpoint.raw(given.kept)
        return
    tensor = checkpoint.read(given.kept) if given.kept else made(given.ref.name)
    _check(tensor, given)
    whole = memory_of(tensor.detach().resolve_conj().resolve_neg().contiguous())
    for start in range(0, len(whole), _PIECE):
        yield whole[start : start + _PIECE]


def pour(out: BinaryIO, pieces: Iterator[memoryview], nbytes: int) -> int:
    """Write all pieces, read and summed ahead where there are many; gives their CRC-32."""
    crc = 0
    for piece, crc in early(_summed(pieces), nbytes):  # noqa: B007  the last one counts
        write_all(out, piece)
    return crc


def early(items: Iterator[_Item], nbytes: int) -> Iterator[_Item]:
    """The items, in another thread where so many bytes are worth its start."""
    return ahead(items) if nbytes >= _LARGE else items


def _summed(pieces: Iterator[memoryview]) -> Iterator[tuple[memoryview, int]]:
    """Each piece with the CRC-32 of all up to it."""
    crc = 0
    for piece in pieces:
        crc = zlib.crc32(piece, crc)
        yield piece, crc


def write_all(out: BinaryIO, data: memoryview | bytes) -> None:
    """Write every byte, also where the file takes less at once."""
    rest = memoryview(data)
    while rest:
        rest = rest[out.write(rest) :]


def memory_of(tensor: Tensor) -> memoryview:
    """The memory of a contiguous tensor."""
    import torch

    array = tensor.reshape(-1).view(torch.uint8).numpy()
    return memoryview(array)  # type: ignore[arg-type]  # numpy's stub for 3.10


def _check(tensor: Tensor, given: Given) -> None:
    found = tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")
    expected = given.ref.shape, given.ref.dtype
    if found != expected:
        raise OutputError(
            f"{quoted(given.ref.name)} was made as {found[1]} {list(found[0])}, "
            f"expected {expected[1]} {list(expected[0])}"
        )
