"""`ls`: the header of a checkpoint, nothing of its tensors read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.commands.choice import listed
from normcli.formats import open_checkpoint
from normcli.records import Listing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike


def ls(
    path: str | PathLike[str],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    everything: bool = False,
    allow_opaque: bool = False,
    budget_scale: float = 1.0,
) -> Listing:
    """List every weight of a checkpoint from its header: no tensor is read, no torch imported.

    Args:
        path: A file, a folder of shards, an index, or one shard.
        include: Globs on `SECTION/KEY` or KEY; all weights without one.
        exclude: Globs of weights to leave out.
        everything: Vectors, scalars and integer tensors as well.
        allow_opaque: List a file that holds foreign objects.
        budget_scale: Factor on the limits of `normcli.formats.budgets`, for a trusted large file.

    Raises:
        CheckpointError: The file cannot be read, or is refused.
    """
    with open_checkpoint(path, allow_opaque=allow_opaque, budget_scale=budget_scale) as checkpoint:
        weights, skipped, notes = listed(
            checkpoint, include, exclude, everything=everything, unmeasured=True
        )
        return Listing(
            checkpoint.path, checkpoint.format, checkpoint.files, weights, skipped, notes
        )
