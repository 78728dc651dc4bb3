"""One torch file of an output: its pickle is built, its storages are streamed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from normcli.errors import CheckpointError
from normcli.formats.filling import PIECE, RAW_BUFFERS, check_crc
from normcli.formats.pickles.globals import STORAGE_ITEMSIZE
from normcli.formats.writers.given_nodes import GivenStorage
from normcli.formats.writers.pouring import early, given_bytes
from normcli.formats.writers.torch_archive import Member, archive_bytes, write_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

    from torch import Tensor

    from normcli.formats.base import Checkpoint
    from normcli.formats.extents import Record
    from normcli.formats.pickles.nodes import StorageNode
    from normcli.formats.torch_content import Content

_BEFORE = {"byteorder": b"little"}
_BEHIND = {"version": b"3\n"}


@dataclass(frozen=True, slots=True)
class TorchFile:
    """A `FileBlueprint` of the zip format.

    Attributes:
        name: As in `FileBlueprint`.
        pickle: All of `data.pkl`.
        storages: In the order of their numbers.
        checkpoint: What kept tensors of other formats are read from.
        content: What copied storages are read from; None where there are none.
    """

    name: str
    pickle: bytes
    storages: tuple[StorageNode, ...]
    checkpoint: Checkpoint
    content: Content | None = None

    @property
    def nbytes(self) -> int:
        """As in `FileBlueprint`."""
        return archive_bytes([member for member, _ in self._members(_nobody)])

    @property
    def order(self) -> tuple[str, ...]:
        """As in `FileBlueprint`; one name where several share their bytes."""
        given = (each.given for each in self.storages if isinstance(each, GivenStorage))
        return tuple(each.ref.name for each in given if each and not each.kept)

    def write(self, out: BinaryIO, made: Callable[[str], Tensor]) -> Mapping[str, int]:
        """As in `FileBlueprint`; the archive keeps every CRC-32 itself."""
        try:
            write_archive(out, self._members(made))
        except CheckpointError as error:
            error.where = error.where or self.checkpoint.path
            raise
        return {}

    def _members(
        self, made: Callable[[str], Tensor]
    ) -> Iterator[tuple[Member, Iterator[memoryview]]]:
        yield from _short({"data.pkl": self.pickle, **_BEFORE})
        for number, storage in enumerate(self.storages):
            nbytes = storage.numel * STORAGE_ITEMSIZE[storage.dtype]
            record = self._record(storage)
            copied = record if self.content and not self.content.swap else None
            member = Member(f"data/{number}", nbytes, copied)
            yield member, self._bytes(storage, record, made, nbytes)
        yield from _short(_BEHIND)

    def _record(self, storage: StorageNode) -> Record | None:
        """Where its bytes lie in the input; None where they are made, or read from elsewhere."""
        if isinstance(storage, GivenStorage) or self.content is None:
            return None
        return self.content.record_of(storage.key)

    def _bytes(
        self,
        storage: StorageNode,
        record: Record | None,
        made: Callable[[str], Tensor],
        nbytes: int,
    ) -> Iterator[memoryview]:
        if isinstance(storage, GivenStorage) and storage.given:
            yield from early(given_bytes(self.checkpoint, storage.given, made), nbytes)
        elif self.content and record:
            source, swap = self.content.source, self.content.swap
            if swap:  # as it is its sum is compared when it was written
                check_crc(source, record)
            pieces = source.chunks(record.offset, nbytes, size=PIECE, buffers=RAW_BUFFERS)
            yield from early(_swapped(pieces, _width(storage)) if swap else pieces, nbytes)


def _nobody(name: str) -> Tensor:
    raise KeyError(name)  # sizes are known without a tensor


def _short(records: Mapping[str, bytes]) -> Iterator[tuple[Member, Iterator[memoryview]]]:
    for name, content in records.items():
        yield Member(name, len(content)), iter([memoryview(content)])


def _width(storage: StorageNode) -> int:
    """Bytes of one number; a complex one is two of them."""
    dtype = storage.dtype or storage.viewed
    return STORAGE_ITEMSIZE.get(dtype, 1) // (2 if dtype.startswith("complex") else 1)


def _swapped(pieces: Iterator[memoryview], width: int) -> Iterator[memoryview]:
    """The same numbers in little-endian order."""
    for piece in pieces:
        swapped = bytearray(len(piece))
        for place in range(width):
            swapped[place::width] = piece[width - 1 - place :: width]
        yield memoryview(swapped)
