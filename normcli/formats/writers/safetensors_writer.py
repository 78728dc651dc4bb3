"""A checkpoint of any format as one safetensors file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from normcli.formats.state_metadata import STATE_METADATA, packed
from normcli.formats.tied import tie_notes
from normcli.formats.writers.draft import Blueprint
from normcli.formats.writers.flat_plan import flat_plan
from normcli.formats.writers.pouring import given_bytes, pour, write_all
from normcli.formats.writers.safetensors_header import header_bytes, in_file_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import BinaryIO

    from torch import Tensor

    from normcli.formats.base import Checkpoint
    from normcli.formats.writers.draft import Draft
    from normcli.formats.writers.flat import Flat
    from normcli.formats.writers.flat_plan import FlatPlan
    from normcli.records import TensorRef


def safetensors_blueprint(checkpoint: Checkpoint, draft: Draft, *, name: str = "") -> Blueprint:
    """The output as one safetensors file; the same bytes for the same input.

    Sections become prefixes of names, tied tensors become records in `__metadata__`, and a state
    dict's `_metadata` becomes one string there.

    Args:
        checkpoint: Of any format, open until the blueprint is written.
        draft: What differs.
        name: Of the file within its folder; empty where the output is one file.

    Raises:
        CheckpointError: A tensor that the format does not have; two tensors of one name.
        RefusedError: Content that is no tensor, which was not said to be left out.
    """
    plan = flat_plan(checkpoint, draft, "safetensors")
    file = safetensors_file(
        checkpoint,
        [each for each in plan.tensors if each.name not in plan.ties],
        {**plan.strings, **state_strings(plan.metadata), **plan.ties},
        name=name,
    )
    notes = (*plan.notes, *safetensors_notes(checkpoint, plan))
    return Blueprint("safetensors", (file,), file.refs, plan.dropped, notes)


def safetensors_notes(checkpoint: Checkpoint, plan: FlatPlan) -> list[str]:
    """What becomes of ties and of `_metadata` in this format."""
    notes = tie_notes(checkpoint, plan.ties)
    if plan.metadata and packed(plan.metadata) is None:
        notes.append("the _metadata of the state dict is not plain data and was left out")
    return notes


def state_strings(metadata: Mapping[str, object]) -> dict[str, str]:
    """`_metadata` as an entry of `__metadata__`, where there is any that it can hold."""
    text = packed(metadata) if metadata else None
    return {} if text is None else {STATE_METADATA: text}


def safetensors_file(
    checkpoint: Checkpoint, tensors: Iterable[Flat], strings: Mapping[str, str], *, name: str
) -> SafetensorsFile:
    """One file of these tensors, none of them tied to another.

    Raises:
        CheckpointError: A tensor or a name that the format does not have.
    """
    lines = in_file_order(tensors)
    refs = {each.name: each.ref for each in lines}
    header = header_bytes(tuple(refs.values()), strings)
    return SafetensorsFile(
        name,
        len(header) + sum(ref.nbytes for ref in refs.values()),
        tuple(each.given.ref.name for each in lines if not each.given.kept),
        refs,
        checkpoint,
        header,
        tuple(lines),
    )


@dataclass(frozen=True, slots=True)
class SafetensorsFile:
    """One safetensors file; the contract is `FileBlueprint`.

    Attributes:
        name: As there.
        nbytes: As there.
        order: As there.
        refs: Its tensors, by name, in the order of the file.
        checkpoint: Holds the tensors that are kept.
        header: Length and JSON.
        lines: The tensors, in the same order.
    """

    name: str
    nbytes: int
    order: tuple[str, ...]
    refs: Mapping[str, TensorRef]
    checkpoint: Checkpoint
    header: bytes
    lines: tuple[Flat, ...]

    def write(self, out: BinaryIO, made: Callable[[str], Tensor]) -> Mapping[str, int]:
        """As `FileBlueprint.write`; never more than one tensor in memory."""
        write_all(out, self.header)
        checksums: dict[str, int] = {}
        for each in self.lines:
            pieces = given_bytes(self.checkpoint, each.given, made)
            checksums[each.name] = pour(out, pieces, each.ref.nbytes)
        return checksums
