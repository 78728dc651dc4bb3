"""The contract of every writer: an input and what is to differ → an output known to the byte.

A writer never sees a norm. It is told which tensors stand in the places of which others, builds
the header of the output from that, and asks for made tensors one by one, in the order of the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from torch import Tensor

    from normcli.records import Given, Skipped, TensorRef


@dataclass(frozen=True, slots=True)
class Draft:
    """How an output differs from its input.

    Attributes:
        places: Name of a tensor of the input → what stands in its place, possibly nothing; a
            tensor without an entry stays as it is.
        metadata: Section → its new `_metadata`, where it changes.
        drop_opaque: Whether content that the output cannot hold is left out instead of refused.
        drop_optimizer: Whether optimizer states are left out.
        max_shard_size: Bytes of tensors in one shard; None writes one file, or keeps the shards.
    """

    places: Mapping[str, tuple[Given, ...]] = field(default_factory=lambda: MappingProxyType({}))
    metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    drop_opaque: bool = False
    drop_optimizer: bool = False
    max_shard_size: int | None = None


class FileBlueprint(Protocol):
    """One file of an output, its header built, nothing of it written."""

    @property
    def name(self) -> str:
        """Of the file within its folder; empty where the output is one file."""

    @property
    def nbytes(self) -> int:
        """What it will have, exactly."""

    @property
    def order(self) -> tuple[str, ...]:
        """Names of the made tensors, in the order in which `write` asks for them.

        As the draft has them: `SECTION/KEY`, also where the file joins the two with a dot.
        """

    def write(self, out: BinaryIO, made: Callable[[str], Tensor]) -> Mapping[str, int]:
        """Write the whole file, tensor by tensor, and say what was written.

        Args:
            out: Empty, seekable, unbuffered or buffered.
            made: Name → tensor; asked once for each name of `order`, in that order.

        Returns:
            Name of a tensor in the reopened output → CRC-32 of its bytes in the file, where the
            format keeps none itself; empty where it does.

        Raises:
            CheckpointError: The input is not what its header promised.
            OSError: The file could not be written.
        """


@dataclass(frozen=True, slots=True)
class Blueprint:
    """An output before it is written.

    Attributes:
        format: As in `Report`.
        files: In the order in which they are to be written; an index comes last.
        tensors: What opening the output will show, by name; `storage` and `note` say nothing.
        dropped: Content of the input that the output does not hold, and why.
        notes: What changes besides the weights (ties that are recorded, a format that is renewed).
    """

    format: str
    files: tuple[FileBlueprint, ...]
    tensors: Mapping[str, TensorRef]
    dropped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Of all files together."""
        return sum(each.nbytes for each in self.files)
