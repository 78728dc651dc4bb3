"""Where the bytes of a tensor lie in a file, and the rule that keeps every view inside them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from normcli.errors import CheckpointError
from normcli.formats.spelling import counted
from normcli.records import ITEMSIZE, Shape

_LARGEST = 2**63 - 1  # what torch can hold in a size, a stride or an offset


@dataclass(frozen=True, slots=True)
class Record:
    """A run of bytes that tensors view: a storage.

    Attributes:
        offset: In the file.
        nbytes: Its length.
        crc: CRC-32 that the file promises; None where the format has none.
        name: As the file calls it.
    """

    offset: int
    nbytes: int
    crc: int | None
    name: str


@dataclass(frozen=True, slots=True)
class Extent:
    """A tensor as a view of a record.

    Attributes:
        record: The bytes.
        start: Elements before the first one.
        shape: As stored.
        stride: In elements; as stored.
        dtype: A key of `ITEMSIZE`.
        swap: Whether the bytes of each number are stored in big-endian order.
    """

    record: Record
    start: int
    shape: Shape
    stride: Shape
    dtype: str
    swap: bool = False

    @property
    def span(self) -> int:
        """Elements from the first to the last one that the view touches."""
        return span(self.shape, self.stride)


def contiguous(shape: Shape) -> Shape:
    """Strides of a contiguous tensor, as torch counts them: an axis of size 0 counts as 1."""
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def is_contiguous(shape: Shape, stride: Shape) -> bool:
    """Whether entries lie end to end in the order of the shape; one of size 1 has any stride."""
    steps = zip(shape, stride, contiguous(shape), strict=True)
    return 0 in shape or all(size == 1 or step == expected for size, step, expected in steps)


def span(shape: Shape, stride: Shape) -> int:
    """Σ(size − 1)·stride + 1; 0 for a tensor without elements."""
    if 0 in shape:
        return 0
    return sum((size - 1) * step for size, step in zip(shape, stride, strict=True)) + 1


def check_view(start: int, shape: Shape, stride: Shape, itemsize: int, nbytes: int) -> None:
    """The numeric rule: no element outside the storage, and no more elements than it has room for.

    Raises:
        CheckpointError: With both sides of what does not hold.
    """
    for word, numbers in (("offset", (start,)), ("size", shape), ("stride", stride)):
        for number in numbers:
            if number < 0:
                raise CheckpointError(f"{word} is {counted(number)}, expected no negative number")
            if number > _LARGEST:
                raise CheckpointError(f"{word} is 2^63 or more, which no tensor can have")
    if len(shape) != len(stride):
        raise CheckpointError(f"has {len(stride)} strides, expected {len(shape)}")
    numel = math.prod(shape)
    if numel == 0:
        return
    end = (start + span(shape, stride)) * itemsize
    if end > nbytes:
        raise CheckpointError(f"reaches byte {counted(end)} of its storage, which has {nbytes}")
    if numel * itemsize > nbytes:
        raise CheckpointError(
            f"is an expanded view: {counted(numel * itemsize)} bytes from a storage of {nbytes}",
            hint="save a copy: tensor.clone()",
        )


def overlaps(shape: Shape, stride: Shape) -> bool:
    """Whether two indices may name one element: no axis order makes the strides nest."""
    reach = 0
    for step, size in sorted(zip(stride, shape, strict=True)):
        if size == 1:
            continue
        if step <= reach:
            return True
        reach += (size - 1) * step
    return False


def data_bytes(shape: Shape, dtype: str) -> int:
    """Numel · itemsize."""
    return math.prod(shape) * ITEMSIZE[dtype]
