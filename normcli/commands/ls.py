"""`ls`: the header of a checkpoint, nothing of its tensors read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from normcli.records import Listing


def ls(
    path: str | PathLike[str],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    everything: bool = False,
    allow_opaque: bool = False,
) -> Listing:
    """List every weight of a checkpoint from its header."""
    raise NotImplementedError
