"""Bytes on disk to named tensors: what kind a file is, its header, its tensors one by one.

To add a format: a module with a function `(Source, Budgets) -> Header` that reads the header
without torch and checks every number in it; a line in `READERS`; how its first bytes look in
`sniff.py`; and a subclass of `ReaderTests`, with files that were written without normcli.

To add a writer: a module with a function `(Checkpoint, Draft) -> Blueprint` that takes an input of
any format, refuses what its own cannot hold, builds the header without torch, and streams tensors
when it is asked to write; a line in `WRITERS`; and tests that read its files with another library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.formats.base import Checkpoint
from normcli.formats.opening import READERS, open_checkpoint

if TYPE_CHECKING:
    from normcli.formats.writers import (
        WRITERS,
        Blueprint,
        Draft,
        FileBlueprint,
        blueprint,
        verify,
    )

__all__ = [
    "READERS",
    "WRITERS",
    "Blueprint",
    "Checkpoint",
    "Draft",
    "FileBlueprint",
    "blueprint",
    "open_checkpoint",
    "verify",
]


def __getattr__(name: str) -> object:
    """Import the writers when one is first asked for: `ls` does not pay for them."""
    if name in __all__:
        from normcli.formats import writers

        return getattr(writers, name)
    raise AttributeError(f"module 'normcli.formats' has no attribute {name!r}")
