"""What an output of named tensors holds, made of an input of any format: names, ties, metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from normcli.errors import CheckpointError
from normcli.formats.spelling import quoted
from normcli.formats.tied import followed, merged_records, tie_records, ties
from normcli.formats.writers.dropping import dropped
from normcli.formats.writers.flat import flat_metadata, flat_tensors, section_notes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from normcli.formats.base import Checkpoint
    from normcli.formats.writers.draft import Draft
    from normcli.formats.writers.flat import Flat
    from normcli.records import Skipped

# Where a torch file keeps the `__metadata__` of the safetensors file that it was made of: in the
# `_metadata` entry of the root module.
CARRIED = "safetensors"


@dataclass(frozen=True, slots=True)
class FlatPlan:
    """An output without sections, before it is laid out in files.

    Attributes:
        tensors: In the order of the input; of tied ones all.
        ties: Name of a tensor that is tied to another one → the alphabetically first of them; it
            may have no line in `tensors`, where the input left it out already.
        strings: Of `__metadata__`, without what is made anew from the other attributes.
        metadata: Module path → entry of `_metadata`.
        dropped: As in `Blueprint`.
        notes: As in `Blueprint`.
    """

    tensors: tuple[Flat, ...]
    ties: Mapping[str, str]
    strings: Mapping[str, str]
    metadata: Mapping[str, Any]
    dropped: tuple[Skipped, ...]
    notes: tuple[str, ...]


def flat_plan(checkpoint: Checkpoint, draft: Draft, output_format: str) -> FlatPlan:
    """What `checkpoint` holds, but for what `draft` changes.

    Raises:
        CheckpointError: Two tensors get one name; one is an overlapping view.
        RefusedError: Content that is no tensor, which was not said to be left out.
    """
    lost = dropped(checkpoint, draft, output_format)
    tensors = tuple(flat_tensors(checkpoint, draft))
    _check_views(checkpoint, tensors)
    new = tie_records(checkpoint, tensors)
    names = {each.name for each in tensors}
    metadata, carried = _without_carried(flat_metadata(checkpoint, draft))
    return FlatPlan(
        tensors,
        merged_records(new, followed(checkpoint, draft), names - new.keys()),
        _strings(checkpoint, carried, names),
        metadata,
        lost,
        tuple(section_notes(checkpoint)),
    )


def _check_views(checkpoint: Checkpoint, tensors: Iterable[Flat]) -> None:
    for each in tensors:
        note = checkpoint.tensors[each.given.kept].note if each.given.kept else ""
        if note:
            raise CheckpointError(
                f"{quoted(each.given.kept)} is not written: it is an {note}",
                hint="save a copy in its place: tensor.clone()",
            )


def _without_carried(metadata: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """(`_metadata` by itself, the strings that it carried)."""
    root = metadata.get("")
    if not isinstance(root, dict) or not _is_strings(root.get(CARRIED)):
        return metadata, {}
    rest = {key: value for key, value in root.items() if key != CARRIED}
    others = {path: entry for path, entry in metadata.items() if path}
    return {"": rest, **others} if rest else others, root[CARRIED]


def _is_strings(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(text, str) for pair in value.items() for text in pair
    )


def _strings(
    checkpoint: Checkpoint, carried: Mapping[str, str], names: Collection[str]
) -> dict[str, str]:
    """The strings of the input without its ties, old or new; the format is always named."""
    records = ties(checkpoint)
    strings = {"format": "pt", **carried, **checkpoint.strings}
    return {
        key: value
        for key, value in strings.items()
        if key not in records and not (key in names and value in names)
    }
