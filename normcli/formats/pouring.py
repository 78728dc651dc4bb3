"""Bytes of torch tensors into a file, without a copy in between."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from normcli.errors import OutputError
from normcli.formats.spelling import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from torch import Tensor

    from normcli.formats.base import Checkpoint
    from normcli.records import Given

_PIECE = 1 << 20  # bytes that stay in a core's cache between the CRC and the write


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
        for piece in checkpoint.pieces(given.kept):
            yield memory_of(piece)
        return
    tensor = checkpoint.read(given.kept) if given.kept else made(given.ref.name)
    _check(tensor, given)
    whole = memory_of(tensor.detach().resolve_conj().resolve_neg().contiguous())
    for start in range(0, len(whole), _PIECE):
        yield whole[start : start + _PIECE]


def write_all(out: BinaryIO, data: memoryview | bytes, crc: int = 0) -> int:
    """Write every byte, also where the file takes less at once; the CRC-32 goes on from `crc`."""
    crc = zlib.crc32(data, crc)
    rest = memoryview(data)
    while rest:
        rest = rest[out.write(rest) :]
    return crc


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
