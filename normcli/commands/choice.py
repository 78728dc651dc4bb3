"""Which tensors of a checkpoint are weights that the user asked for, and why the others are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.records import MEASURABLE, Skipped
from normcli.reparam import weights
from normcli.selection import chosen, matcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normcli.formats.base import Checkpoint
    from normcli.records import Weight

FLAT = "vector or scalar (--all shows it)"


def listed(
    checkpoint: Checkpoint,
    include: Sequence[str],
    exclude: Sequence[str],
    *,
    everything: bool,
    unmeasured: bool = False,
) -> tuple[tuple[Weight, ...], tuple[Skipped, ...], tuple[str, ...]]:
    """(weights, skipped, notes) of an opened checkpoint, from its header alone.

    Args:
        checkpoint: Opened.
        include: Globs; everything where there is none.
        exclude: Globs; they win.
        everything: Vectors and scalars as well.
        unmeasured: Dtypes that no norm is computed of as well (integers).
    """
    wanted = chosen(include, exclude)
    candidates = weights(checkpoint.tensors, checkpoint.metadata)
    selected = [weight for weight in candidates if wanted(weight)]
    kept, skipped = [], list(checkpoint.skipped)
    for weight in selected:
        reason = _reason(weight, everything=everything, unmeasured=unmeasured)
        if reason:
            skipped.append(Skipped(weight.name, reason))
        else:
            kept.append(weight)
    notes = list(checkpoint.notes)
    if len(selected) < len(candidates):
        left = len(candidates) - len(selected)
        notes.append(f"{left} of {len(candidates)} tensors left out by --include and --exclude")
    notes += _partitioned(candidates)
    notes += _idle("--include", include, candidates) + _idle("--exclude", exclude, candidates)
    return tuple(kept), tuple(skipped), tuple(notes)


def _reason(weight: Weight, *, everything: bool, unmeasured: bool) -> str:
    """Why the tensor is not a weight to be shown; empty where it is one."""
    if len(weight.shape) < 2 and not everything:
        return FLAT
    if weight.dtype not in MEASURABLE and not (everything and unmeasured):
        return f"{weight.dtype}: norms are of floating-point weights"
    return ""


def _partitioned(candidates: Sequence[Weight]) -> list[str]:
    """A note where weights are of shape (0,), as a shard of DeepSpeed's ZeRO-3 stores them."""
    empty = sum(weight.shape == (0,) and weight.key.endswith("weight") for weight in candidates)
    if not empty:
        return []
    return [f"{empty} weights have shape (0,): partitioned by ZeRO-3? Consolidate the shards first"]


def _idle(option: str, patterns: Sequence[str], candidates: Sequence[Weight]) -> list[str]:
    """A note for each pattern that matches nothing: most likely a slip."""
    return [
        f"{option} {pattern!r} matches none of {len(candidates)} tensors"
        for pattern in patterns
        if not any(map(matcher([pattern]), candidates))
    ]
