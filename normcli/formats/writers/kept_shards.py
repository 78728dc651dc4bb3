"""A sharded checkpoint in the same shards: those without a change are copied byte for byte."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from normcli.errors import CheckpointError
from normcli.formats.optimizers import OPTIMIZER
from normcli.formats.spelling import quoted
from normcli.formats.tied import tie_of
from normcli.formats.writers.copied_file import CopiedFile
from normcli.formats.writers.draft import Blueprint
from normcli.formats.writers.flat import modules_above, placed
from normcli.formats.writers.index_file import index_file
from normcli.formats.writers.safetensors_writer import safetensors_blueprint
from normcli.formats.writers.supplied_file import SuppliedFile
from normcli.formats.writers.torch_writer import torch_blueprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from normcli.formats.base import Checkpoint
    from normcli.formats.sharded import OpenedShards
    from normcli.formats.writers.draft import Draft, FileBlueprint
    from normcli.records import Given, Skipped, TensorRef

_ONE_FILE = {
    "sharded-safetensors": safetensors_blueprint,
    "sharded-torch": torch_blueprint,
}


@dataclass(frozen=True, slots=True)
class _Shard:
    """A shard of the output.

    Attributes:
        file: Its blueprint.
        tensors: What it holds.
        unread: What else it holds that the index has to name.
        dropped: As in `Blueprint`.
        notes: As in `Blueprint`.
    """

    file: FileBlueprint
    tensors: Mapping[str, TensorRef]
    unread: tuple[str, ...] = ()
    dropped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


def kept_blueprint(checkpoint: OpenedShards, draft: Draft) -> Blueprint:
    """The shards of the input, under their names, and its index with what changed in it.

    Raises:
        CheckpointError: Two shards get tensors of one name; what a shard cannot hold.
        RefusedError: As the writer of one file.
    """
    fresh = _fresh(checkpoint, draft)
    built = {name: _shard(checkpoint, draft, fresh, name) for name in checkpoint.shards}
    shards = {name: each for name, each in built.items() if each.tensors or each.unread}
    if not shards:
        raise CheckpointError("no tensor is left in the output")
    emptied = [name for name in built if name not in shards]
    weight_map = _weight_map(shards)
    tensors = {name: ref for each in shards.values() for name, ref in each.tensors.items()}
    index = index_file(
        checkpoint.index.name,
        weight_map,
        _total_size(checkpoint, draft),
        content=checkpoint.index.content,
    )
    return Blueprint(
        checkpoint.format,
        (*(each.file for each in shards.values()), index),
        {name: tensors[name] for name in sorted(weight_map) if name in tensors},
        tuple(lost for each in built.values() for lost in each.dropped),
        (
            *(f"{name}: {note}" for name, each in shards.items() for note in each.notes),
            *(f"{name}: left out, no tensor is left in it" for name in emptied),
        ),
    )


def _shard(
    checkpoint: OpenedShards, draft: Draft, fresh: Mapping[str, set[str]], name: str
) -> _Shard:
    shard = checkpoint.shards[name]
    own = replace(_part(draft, shard), metadata=_metadata(checkpoint, draft, fresh, name))
    if not (own.places or own.metadata or _loses(shard, draft)):
        unread = tuple(each.name for each in shard.skipped)
        return _Shard(CopiedFile(name, shard), shard.tensors, unread)
    own, lent = _without_foreign(own, shard)
    blueprint = _ONE_FILE[checkpoint.format](shard, own, name=name)
    if not blueprint.tensors:  # the index cannot name the file
        return _Shard(blueprint.files[0], {}, (), shard.leftovers())
    file = blueprint.files[0]
    if lent:
        file = SuppliedFile(file, checkpoint, lent=lent)
    return _Shard(file, blueprint.tensors, (), blueprint.dropped, blueprint.notes)


def _loses(shard: Checkpoint, draft: Draft) -> bool:
    """Whether the shard holds what is to be left out, or refused."""
    optimizer = any(each.reason == OPTIMIZER for each in shard.skipped)
    return bool(shard.opaque) or (draft.drop_optimizer and optimizer)


def _without_foreign(draft: Draft, shard: Checkpoint) -> tuple[Draft, dict[str, str]]:
    """(the draft with a tensor of another shard as a made one, its name → what it is)."""
    lent: dict[str, str] = {}
    places: dict[str, tuple[Given, ...]] = {}
    for place, gives in draft.places.items():
        foreign = {
            each.ref.name: each.kept for each in gives if each.kept not in ("", *shard.tensors)
        }
        places[place] = tuple(
            replace(each, kept="", ref=replace(each.ref, storage=""))
            if each.ref.name in foreign
            else each
            for each in gives
        )
        lent |= foreign
    return replace(draft, places=places), lent


def _metadata(
    checkpoint: OpenedShards, draft: Draft, fresh: Mapping[str, set[str]], name: str
) -> dict[str, Mapping[str, Any]]:
    """Section → its new `_metadata` in the shard of that name, where it changes.

    An entry stays in the shards that it was in; a new one is where `fresh` says.
    """
    changed: dict[str, Mapping[str, Any]] = {}
    for section, new in draft.metadata.items():
        old = checkpoint.shards[name].metadata.get(section, {})
        paths = old.keys() | {path for path, homes in fresh.items() if name in homes}
        entries = {path: entry for path, entry in new.items() if path in paths}
        if entries != old:
            changed[section] = entries
    return changed


def _fresh(checkpoint: OpenedShards, draft: Draft) -> dict[str, set[str]]:
    """New path in `_metadata` → the shards whose tensors its module has.

    A module without tensors goes with the nearest one around it, and into one shard only.
    """
    sections = draft.metadata.items()
    known = {path for entries in checkpoint.metadata.values() for path in entries}
    new = {path for _, entries in sections for path in entries if path not in known}
    if not new:
        return {}
    modules = {
        name: modules_above(given.ref.key for given in placed(shard, _part(draft, shard)))
        for name, shard in checkpoint.shards.items()
    }
    touched = [name for name, shard in checkpoint.shards.items() if _part(draft, shard).places]
    return {path: _homes(path, modules, touched) for path in new}


def _homes(path: str, modules: Mapping[str, set[str]], touched: Sequence[str]) -> set[str]:
    module = path
    while module and not any(module in held for held in modules.values()):
        module = module.rpartition(".")[0]
    homes = [name for name in modules if module in modules[name]] or list(modules)
    homes = [name for name in homes if name in touched] or homes
    return set(homes if module == path else homes[:1])


def _part(draft: Draft, shard: Checkpoint) -> Draft:
    """The draft for one shard."""
    places = {name: draft.places[name] for name in shard.tensors if name in draft.places}
    return replace(draft, places=places, metadata={})


def _weight_map(shards: Mapping[str, _Shard]) -> dict[str, str]:
    weight_map: dict[str, str] = {}
    for shard, each in shards.items():
        for name in (*each.tensors, *each.unread):
            other = weight_map.setdefault(name, shard)
            if other != shard:
                raise CheckpointError(
                    f"{quoted(name)} would be in {quoted(other)} and in {quoted(shard)}",
                    hint="two weights of the output have one name",
                )
    return weight_map


def _total_size(checkpoint: Checkpoint, draft: Draft) -> int:
    """Bytes of all tensors of the output, tied ones counted once."""
    return sum(given.ref.nbytes for given in _distinct(checkpoint, placed(checkpoint, draft)))


def _distinct(checkpoint: Checkpoint, givens: Iterable[Given]) -> list[Given]:
    seen: set[str] = set()
    distinct = []
    for given in givens:
        tie = tie_of(checkpoint, given)
        if not tie or tie not in seen:
            distinct.append(given)
        seen.add(tie)
    return distinct
