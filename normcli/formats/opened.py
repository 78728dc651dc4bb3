"""An opened file: the header that a reader found, and its tensors read on demand."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from normcli.errors import CheckpointError, UsageError
from normcli.formats.base import Checkpoint
from normcli.formats.extents import is_contiguous
from normcli.formats.leftovers import list_leftovers
from normcli.formats.source import never
from normcli.formats.spelling import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from normcli.formats.extents import Extent
    from normcli.formats.source import Source
    from normcli.formats.torch_content import Content
    from normcli.records import InputFile, Opaque, Skipped, TensorRef


@dataclass(frozen=True, slots=True)
class Header:
    """What a reader tells of a file. The attributes mean what they mean in `Checkpoint`.

    Attributes:
        format: Its name in `READERS`.
        tensors: Name → header line.
        extents: Name → where its bytes lie; the same names.
        metadata: Section → `_metadata`.
        skipped: What is not read.
        opaque: Foreign objects.
        notes: About the file.
        strings: `__metadata__` of safetensors.
        content: Reads the file again, all of it as a tree; None where the tables say all.
    """

    format: str
    tensors: Mapping[str, TensorRef]
    extents: Mapping[str, Extent]
    metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    opaque: tuple[Opaque, ...] = ()
    notes: tuple[str, ...] = ()
    strings: Mapping[str, str] = field(default_factory=dict)
    content: Callable[[], Content] | None = None


class OpenedFile(Checkpoint):
    """A checkpoint in one file; the contract is `Checkpoint`."""

    def __init__(self, source: Source, header: Header) -> None:
        self.path = source.path
        self.format = header.format
        self.files: tuple[InputFile, ...] = (source.input_file(),)
        self.tensors: Mapping[str, TensorRef] = header.tensors
        self.metadata: Mapping[str, Mapping[str, Any]] = header.metadata
        self.skipped = header.skipped
        self.opaque = header.opaque
        self.notes = header.notes
        self.strings: Mapping[str, str] = header.strings
        self._source = source
        self._extents = header.extents
        self._content = header.content
        self._checked: set[int] = set()  # offsets of records whose CRC was right

    def read(self, name: str, *, out: Tensor | None = None) -> Tensor:
        """As `Checkpoint.read`; into `out`, a uint8 buffer, where one is given."""
        from normcli.formats.filling import read_tensor

        extent = self._extent(name)
        with self._named(name):
            tensor = read_tensor(self._source, extent, checked=self._is_checked(extent), out=out)
        self._note_checked(extent)
        return tensor

    def pieces(self, name: str) -> Iterator[Tensor]:
        """As `Checkpoint.pieces`."""
        from normcli.formats.filling import read_pieces

        extent = self._extent(name)
        with self._named(name):
            yield from read_pieces(self._source, extent, checked=self._is_checked(extent))
        self._note_checked(extent)

    def raw(self, name: str) -> Iterator[memoryview]:
        """As `Checkpoint.raw`."""
        from normcli.formats.filling import read_raw

        extent = self._extent(name)
        with self._named(name):
            yield from read_raw(self._source, extent, checked=self._is_checked(extent))
        self._note_checked(extent)

    def _extent(self, name: str) -> Extent:
        extent = self._extents.get(name)
        if extent is None:
            raise UsageError(f"holds no tensor {quoted(name)}", where=self.path)
        return extent

    def _is_checked(self, extent: Extent) -> bool:
        return extent.record.offset in self._checked

    def _note_checked(self, extent: Extent) -> None:
        if extent.record.crc is not None and extent.span:  # without elements nothing was read
            self._checked.add(extent.record.offset)

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """Name the tensor and the file in what goes wrong while it is read."""
        try:
            yield
        except CheckpointError as error:
            kind = type(error)
            message = f"{quoted(name)}: {error.message}"
            raise kind(message, hint=error.hint, where=self.path) from error

    def is_contiguous(self, name: str) -> bool:
        """As `Checkpoint.is_contiguous`."""
        extent = self._extent(name)
        return is_contiguous(extent.shape, extent.stride)

    def spans(self, _file: InputFile) -> Iterator[tuple[str, memoryview]]:
        """As `Checkpoint.spans`."""
        at = 0
        records = ((extent.record, name) for name, extent in self._extents.items())
        for record, name in sorted(records, key=lambda each: each[0].offset):
            if record.offset < at:  # tied: its bytes have gone by
                continue
            for piece in self._source.chunks(at, record.offset - at):
                yield "", piece
            for piece in self._source.chunks(record.offset, record.nbytes):
                yield name, piece
            at = record.offset + record.nbytes
        for piece in self._source.chunks(at, self._source.size - at):
            yield "", piece

    @contextmanager
    def _placed(self) -> Iterator[None]:
        """Name the file in what goes wrong while it is parsed again."""
        try:
            yield
        except CheckpointError as error:
            error.where = error.where or self.path
            raise

    def digest(self, _file: InputFile, unwanted: Callable[[], bool] = never) -> InputFile:
        """The file with its sha256."""
        return self._source.digest(unwanted)

    def content(self) -> Content | None:
        """All of a torch file as a tree of its own, parsed again; None for other formats.

        Raises:
            ChangedError: Somebody wrote to the file in the meantime.
        """
        if self._content is None:
            return None
        with self._placed():
            content = self._content()
        self.check_unchanged()
        return content

    def leftovers(self) -> tuple[Skipped, ...]:
        """As `Checkpoint.leftovers`."""
        content = self.content()
        if content is None:
            return self.skipped
        with self._placed():
            listed = list_leftovers(content)
        names = {each.name for each in listed}
        return (*listed, *(each for each in self.skipped if each.name not in names))

    def check_unchanged(self) -> None:
        """Raise `ChangedError` if the file is not what was opened."""
        self._source.check_unchanged()

    def close(self) -> None:
        """Give the descriptor back."""
        self._source.close()
