"""A shard that does not change: the same bytes."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normcli.formats.writers.pouring import write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from torch import Tensor

    from normcli.formats.base import Checkpoint


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A copy of a checkpoint in one file; the contract is `FileBlueprint`.

    Attributes:
        name: As there.
        checkpoint: What is copied.
    """

    name: str
    checkpoint: Checkpoint
    order: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """As `FileBlueprint.nbytes`."""
        return self.checkpoint.files[0].nbytes

    def write(self, out: BinaryIO, made: Callable[[str], Tensor]) -> Mapping[str, int]:  # noqa: ARG002 - none is made
        """As `FileBlueprint.write`."""
        summed = self.checkpoint.format == "safetensors"  # torch files hold sums of their own
        checksums = dict.fromkeys(self.checkpoint.tensors, 0) if summed else {}
        for name, piece in self.checkpoint.spans(self.checkpoint.files[0]):
            write_all(out, piece)
            if name in checksums:
                checksums[name] = zlib.crc32(piece, checksums[name])
        return checksums
