"""Tensors without a tree of their own, as the tree of a torch file: a state dict, by section."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from normcli.errors import CheckpointError
from normcli.formats.pickles.nodes import DictNode
from normcli.formats.spelling import quoted
from normcli.formats.tied import followed, ties
from normcli.formats.writers.flat import placed
from normcli.formats.writers.flat_plan import CARRIED
from normcli.formats.writers.given_nodes import GivenNodes, metadata_node

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from normcli.formats.base import Checkpoint
    from normcli.formats.writers.draft import Draft
    from normcli.records import Given


def flat_tree(
    checkpoint: Checkpoint, tensors: Iterable[Given], metadata: Mapping[str, Mapping[str, Any]]
) -> DictNode:
    """An OrderedDict of the tensors, those of a section in one under the section's name.

    Raises:
        CheckpointError: Two tensors have one name.
    """
    nodes = GivenNodes(checkpoint)
    sections = {"": DictNode(ordered=True)}
    for given in tensors:
        section = _section(sections, given.ref.section)
        if given.ref.key in section.items:
            raise _taken(given.ref.name)
        section.items[given.ref.key] = nodes.node(given)
    for name, entries in metadata.items():
        if name in sections and entries:
            sections[name].metadata = metadata_node(entries)
    return sections[""]


def _section(sections: dict[str, DictNode], name: str) -> DictNode:
    root = sections[""]
    if name not in sections:
        if name in root.items:
            raise _taken(name)
        root.items[name] = sections[name] = DictNode(ordered=True)
    return sections[name]


def _taken(name: str) -> CheckpointError:
    message = f"{quoted(name)} would be written twice, expected a key that is free"
    return CheckpointError(message)


def all_tensors(checkpoint: Checkpoint, draft: Draft) -> list[Given]:
    """The tensors of the output; those that safetensors left out as tied are back, at the end."""
    tensors = list(placed(checkpoint, draft))
    given = {each.ref.name: each for each in tensors}
    for left, kept in followed(checkpoint, draft).items():
        if kept in given and left not in given:
            one = given[kept]
            tie = one.ref.storage or kept
            place = tensors.index(one)
            given[kept] = tensors[place] = replace(one, ref=replace(one.ref, storage=tie))
            given[left] = replace(one, ref=replace(one.ref, key=left, storage=tie))
            tensors.append(given[left])
    return tensors


def with_strings(
    metadata: Mapping[str, Mapping[str, Any]], checkpoint: Checkpoint
) -> Mapping[str, Mapping[str, Any]]:
    """`_metadata` that carries the `__metadata__` of safetensors in the root module's entry."""
    records = ties(checkpoint)
    strings = {key: text for key, text in checkpoint.strings.items() if key not in records}
    if not strings or strings == {"format": "pt"}:
        return metadata
    entries = metadata.get("", {})
    root = {**entries.get("", {}), CARRIED: strings}
    return {**metadata, "": {"": root, **{path: each for path, each in entries.items() if path}}}
