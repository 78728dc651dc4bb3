"""A file of an output that asks for its made tensors under other names, or reads some itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from torch import Tensor

    from normcli.formats.base import Checkpoint
    from normcli.formats.writers.draft import FileBlueprint


@dataclass(frozen=True, slots=True)
class SuppliedFile:
    """A file that is given what it asks for; the contract is `FileBlueprint`.

    Attributes:
        file: The file.
        checkpoint: Holds what is lent.
        asked: Name that the file asks for → name that the draft has for it, where they differ.
        lent: Name that the file asks for → tensor of `checkpoint` that it is.
    """

    file: FileBlueprint
    checkpoint: Checkpoint
    asked: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    lent: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def name(self) -> str:
        """As `FileBlueprint.name`."""
        return self.file.name

    @property
    def nbytes(self) -> int:
        """As `FileBlueprint.nbytes`."""
        return self.file.nbytes

    @property
    def order(self) -> tuple[str, ...]:
        """As `FileBlueprint.order`."""
        names = (name for name in self.file.order if name not in self.lent)
        return tuple(self.asked.get(name, name) for name in names)

    def write(self, out: BinaryIO, made: Callable[[str], Tensor]) -> Mapping[str, int]:
        """As `FileBlueprint.write`."""

        def supply(name: str) -> Tensor:
            if name in self.lent:
                return self.checkpoint.read(self.lent[name])
            return made(self.asked.get(name, name))

        return self.file.write(out, supply)
