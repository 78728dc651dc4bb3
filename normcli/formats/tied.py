"""Tied tensors in a format without them: one is written, the others are records of its name.

As `safetensors.torch.save_model` does: the alphabetically first name is kept, and `__metadata__`
holds {name left out: name kept}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.formats.spelling import quoted, several

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from normcli.formats.base import Checkpoint
    from normcli.formats.writers.draft import Draft
    from normcli.formats.writers.flat import Flat
    from normcli.records import Given


def ties(checkpoint: Checkpoint) -> dict[str, str]:
    """Name left out → name kept, as the `__metadata__` of a safetensors input records them."""
    return {
        left: kept
        for left, kept in checkpoint.strings.items()
        if kept in checkpoint.tensors and left not in checkpoint.tensors and left != "format"
    }


def tie_of(checkpoint: Checkpoint, given: Given) -> str:
    """What tied tensors of an output have in common; empty for one that is not tied."""
    if given.kept:
        storage = checkpoint.tensors[given.kept].storage
        return f"kept {storage}" if storage else ""
    return f"made {given.ref.storage}" if given.ref.storage else ""


def tie_records(checkpoint: Checkpoint, tensors: Sequence[Flat]) -> dict[str, str]:
    """Name left out → name kept, of the tensors of an output that are tied in it."""
    groups: dict[str, list[str]] = {}
    for each in tensors:
        tie = tie_of(checkpoint, each.given)
        if tie:
            groups.setdefault(tie, []).append(each.name)
    records: dict[str, str] = {}
    for names in groups.values():
        kept = min(names)
        records.update((name, kept) for name in names if name != kept)
    return records


def followed(checkpoint: Checkpoint, draft: Draft) -> dict[str, str]:
    """The records of the input after the change: a tensor left out changes as its kept one does.

    `b.weight` → `a.weight` becomes `b.weight_orig` → `a.weight_orig` where that stands in the
    place of `a.weight`. A name that differs in more than its prefix stays as long as its bytes do.
    """
    records: dict[str, str] = {}
    for left, kept in ties(checkpoint).items():
        if kept not in draft.places:
            records[left] = kept
            continue
        for given in draft.places[kept]:
            renamed = _alike(left, kept, given)
            if renamed:
                records[renamed] = given.ref.name
    return records


def merged_records(
    new: Mapping[str, str], old: Mapping[str, str], names: Collection[str]
) -> dict[str, str]:
    """New records, and those of the input that still mean one of `names`, sorted."""
    direct = {left: new.get(kept, kept) for left, kept in old.items()}
    still = {left: kept for left, kept in direct.items() if kept in names and left not in names}
    return dict(sorted({**still, **new}.items()))


def tie_notes(checkpoint: Checkpoint, records: Mapping[str, str]) -> list[str]:
    """How many tied tensors are records in the output, and what became of those of the input."""
    notes = []
    if records:
        pairs = (f"{quoted(left)} is {quoted(kept)}" for left, kept in records.items())
        count = f"{len(records)} tied tensor{'' if len(records) == 1 else 's'}"
        notes.append(f"{count} recorded in __metadata__: {several(pairs, most=3)}")
    before = len(ties(checkpoint))
    if before > len(records):
        notes.append(f"{before - len(records)} records of tied tensors were dropped with them")
    return notes


def _alike(left: str, kept: str, given: Given) -> str:
    """The name of a tensor left out once `given` stands for its kept one; empty for none."""
    name = given.ref.name
    if name == kept:
        return left
    tail = _common_tail(left, kept)
    stem = kept[: len(kept) - len(tail)]
    if tail and name.startswith(stem):
        return left[: len(left) - len(tail)] + name[len(stem) :]
    return left if given.kept == kept else ""


def _common_tail(left: str, kept: str) -> str:
    """The dotted components that both names end with."""
    tail: list[str] = []
    for one, other in zip(reversed(left.split(".")), reversed(kept.split(".")), strict=False):
        if one != other:
            break
        tail.insert(0, one)
    return ".".join(tail)
