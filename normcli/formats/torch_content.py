"""All of a torch file as a tree: what `inspect` never needs and a writer writes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from normcli.formats.budgets import Budgets
    from normcli.formats.extents import Record
    from normcli.formats.source import Source


@dataclass(frozen=True, slots=True)
class Content:
    """A pickle parsed again, with all that is needed to write it.

    Attributes:
        root: What it describes; tensors remember the call that builds them.
        source: The open file.
        record_of: Key of a storage → its bytes.
        budgets: That the file was opened with.
        swap: Whether the bytes of each number are stored in big-endian order.
    """

    root: Any
    source: Source
    record_of: Callable[[str], Record]
    budgets: Budgets
    swap: bool = False
