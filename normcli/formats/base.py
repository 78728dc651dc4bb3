"""The contract of every reader: an opened checkpoint is a header, and tensors read one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from torch import Tensor
    from typing_extensions import Self

    from normcli.records import InputFile, Opaque, Skipped, TensorRef


class Checkpoint(Protocol):
    """An opened checkpoint: the header in memory, the bytes still in the file.

    Attributes:
        path: As the user gave it.
        format: As in `normcli.records.Report`.
        files: Its files and their sizes, in order.
        tensors: `SECTION/KEY` → header line, in checkpoint order.
        metadata: Section → the state dict's `_metadata` (module path → entry), where it has one.
        skipped: What cannot or should not be read as a tensor, and why (optimizer state, sparse).
        opaque: Objects in the file that are neither tensors nor plain data.
        notes: About the file as a whole.
        strings: The `__metadata__` of safetensors; empty in other formats.
    """

    path: str
    format: str
    files: tuple[InputFile, ...]
    tensors: Mapping[str, TensorRef]
    metadata: Mapping[str, Mapping[str, Any]]
    skipped: tuple[Skipped, ...]
    opaque: tuple[Opaque, ...]
    notes: tuple[str, ...]
    strings: Mapping[str, str]

    def read(self, name: str, *, out: Tensor | None = None) -> Tensor:
        """The tensor of that name: own memory, 64-byte aligned, on the CPU, strides as stored.

        Safe to call from several threads at once.

        Args:
            name: A key of `tensors`.
            out: Memory to read into instead, which saves the time that fresh pages take: uint8,
                1-D, contiguous. It is used where it is large enough, and the result is then valid
                until it is used again; each thread needs its own.

        Raises:
            CheckpointError: The bytes are not what the header promised (CRC, truncated, changed).
        """

    def pieces(self, name: str) -> Iterator[Tensor]:
        """All entries of the tensor in short 1-D pieces, in the order of the file.

        Each piece is overwritten by the next: a pass over a tensor without the memory for it.
        The error of a CRC comes after the last piece.

        Raises:
            CheckpointError: As `read`.
        """

    def is_contiguous(self, name: str) -> bool:
        """Whether `pieces` gives the entries in the order of the shape, the last index fastest."""

    def spans(self, file: InputFile) -> Iterator[tuple[str, memoryview]]:
        """All bytes of one of `files`, piece by piece, each overwritten by the next.

        With each piece comes the name of the tensor whose bytes it holds (of tied ones the first),
        or an empty name.
        """

    def raw(self, name: str) -> Iterator[memoryview]:
        """The bytes of a tensor that `is_contiguous`, little-endian, in the order of its shape.

        Piece by piece; a piece may be used until `RAW_BUFFERS` - 1 more were asked for. The error
        of a CRC comes after the last piece. Imports no torch where the file has the byte order.

        Raises:
            CheckpointError: As `read`.
        """

    def digest(self, file: InputFile, unwanted: Callable[[], bool] = ...) -> InputFile:
        """One of `files` with its sha256, from the descriptor that tensors are read with.

        Reads every byte; gives up where `unwanted`, asked from time to time, says that nobody waits
        for the result. Safe to call from several threads at once.
        """

    def leftovers(self) -> tuple[Skipped, ...]:
        """What the file holds beside its tensors and their `metadata`: path and kind of each.

        Plain data (`epoch`), optimizer states, tensors that are not read, foreign objects: what a
        format of named tensors alone cannot hold.
        """

    def check_unchanged(self) -> None:
        """Compare size, mtime and inode of every file with what they were when it was opened.

        Raises:
            ChangedError: Somebody wrote to a file in the meantime.
        """

    def close(self) -> None:
        """Give the descriptors back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
