"""What an output of named tensors alone cannot hold: left out where that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.errors import RefusedError
from normcli.formats.optimizers import OPTIMIZER
from normcli.formats.spelling import quoted, several
from normcli.records import Skipped

if TYPE_CHECKING:
    from normcli.formats.base import Checkpoint
    from normcli.formats.writers.draft import Draft


def dropped(checkpoint: Checkpoint, draft: Draft, output_format: str) -> tuple[Skipped, ...]:
    """All that the input holds beside its tensors.

    Raises:
        RefusedError: There is some, and nobody said that it may be left out.
    """
    found = checkpoint.leftovers()  # parses a torch file again: once
    lost = (*found, *_unplaced(checkpoint, found))
    if draft.drop_opaque:
        return lost
    others = [each for each in lost if each.reason != OPTIMIZER]
    if others:
        raise _refusal(others, output_format, "--drop-opaque leaves them out")
    if lost and not draft.drop_optimizer:
        raise _refusal(list(lost), output_format, "--drop-optimizer leaves it out")
    return lost


def _refusal(lost: list[Skipped], output_format: str, hint: str) -> RefusedError:
    listed = several(f"{quoted(each.name)} ({each.reason})" for each in lost)
    return RefusedError(f"holds what {output_format} cannot hold: {listed}", hint=hint)


def _unplaced(checkpoint: Checkpoint, leftovers: tuple[Skipped, ...]) -> list[Skipped]:
    """Foreign objects that no leftover speaks of."""
    told = [each.reason for each in leftovers]
    return [
        Skipped(each.place or each.what, f"foreign object {each.what}")
        for each in checkpoint.opaque
        if not any(each.what in reason for reason in told)
    ]
