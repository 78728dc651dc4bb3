"""A checkpoint as several files with an index: shards that stay, or shards of a given size."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from normcli.errors import UsageError
from normcli.formats.sharded import OpenedShards
from normcli.formats.writers.draft import Blueprint
from normcli.formats.writers.flat import Flat, modules_above
from normcli.formats.writers.flat_plan import CARRIED, flat_plan
from normcli.formats.writers.index_file import index_file
from normcli.formats.writers.kept_shards import kept_blueprint
from normcli.formats.writers.safetensors_writer import (
    safetensors_file,
    safetensors_notes,
    state_strings,
)
from normcli.formats.writers.splitting import shard_names, split
from normcli.formats.writers.supplied_file import SuppliedFile
from normcli.formats.writers.torch_writer import flat_torch_blueprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from normcli.formats.base import Checkpoint
    from normcli.formats.writers.draft import Draft, FileBlueprint
    from normcli.formats.writers.flat_plan import FlatPlan
    from normcli.records import TensorRef

    Built = tuple[FileBlueprint, Mapping[str, TensorRef]]

# Format of the whole → of one file, and what Hugging Face calls it.
_FILES = {
    "sharded-safetensors": ("safetensors", "model", ".safetensors"),
    "sharded-torch": ("torch-zip", "pytorch_model", ".bin"),
}


def sharded_blueprint(checkpoint: Checkpoint, draft: Draft, *, output_format: str) -> Blueprint:
    """The output as shards and an index; as one file of a known name where one shard is enough.

    Without a size of shards each tensor stays in its shard, and a shard in which nothing changes
    is copied byte for byte. With one, shards are filled in the order of the input.

    Args:
        checkpoint: Of any format, open until the blueprint is written.
        draft: What differs.
        output_format: `sharded-safetensors` or `sharded-torch`.

    Raises:
        UsageError: No size of shards, and the input has no shards that could stay.
        CheckpointError: A tensor that the format does not have; two tensors of one name.
        RefusedError: Content that is no tensor, which was not said to be left out.
    """
    if draft.max_shard_size is not None:
        return _split_blueprint(checkpoint, draft, draft.max_shard_size, output_format)
    if isinstance(checkpoint, OpenedShards) and checkpoint.format == output_format:
        return kept_blueprint(checkpoint, draft)
    raise UsageError(
        f"a {checkpoint.format} checkpoint has no {output_format} files that could stay",
        hint="say how large a shard may be: --max-shard-size 5GB",
    )


def _split_blueprint(
    checkpoint: Checkpoint, draft: Draft, limit: int, output_format: str
) -> Blueprint:
    kind, stem, suffix = _FILES[output_format]
    plan = flat_plan(checkpoint, draft, output_format)
    safetensors = kind == "safetensors"
    sizes = _sizes(plan, kept_only=safetensors)
    shards = split(sizes, limit)
    names = shard_names(stem, suffix, len(shards))
    build = _safetensors_shard if safetensors else _torch_shard
    built = [
        build(checkpoint, plan, _with_tied(plan, shard), name, first=name == names[0])
        for shard, name in zip(shards, names, strict=True)
    ]
    notes = (*plan.notes, *(safetensors_notes(checkpoint, plan) if safetensors else ()))
    if len(built) == 1:
        ((file, refs),) = built
        return Blueprint(kind, (file,), refs, plan.dropped, notes)
    places = {name: (file.name, ref) for file, refs in built for name, ref in refs.items()}
    weight_map = {name: places[name][0] for name in sorted(places)}
    index = index_file(f"{stem}{suffix}.index.json", weight_map, sum(sizes.values()))
    tensors = {name: places[name][1] for name in weight_map}
    files = (*(file for file, _ in built), index)
    return Blueprint(output_format, files, tensors, plan.dropped, notes)


def _sizes(plan: FlatPlan, *, kept_only: bool) -> dict[str, int]:
    """Name → bytes of what fills shards: of tied tensors the kept one, or else the first."""
    sizes: dict[str, int] = {}
    seen: set[str] = set()
    for each in plan.tensors:
        kept = plan.ties.get(each.name, each.name)
        if each.name == kept if kept_only else kept not in seen:
            sizes[each.name] = each.ref.nbytes
        seen.add(kept)
    return sizes


def _with_tied(plan: FlatPlan, shard: Iterable[str]) -> set[str]:
    """The names of a shard and of all that is tied to them."""
    names = {plan.ties.get(name, name) for name in shard}
    return names | {left for left, kept in plan.ties.items() if kept in names}


def _safetensors_shard(
    checkpoint: Checkpoint, plan: FlatPlan, names: set[str], name: str, *, first: bool
) -> Built:
    ties = {left: kept for left, kept in plan.ties.items() if left in names}
    metadata = state_strings(_metadata_of(plan, names, first=first))
    tensors = [each for each in plan.tensors if each.name in names and each.name not in ties]
    file = safetensors_file(checkpoint, tensors, {**plan.strings, **metadata, **ties}, name=name)
    return file, file.refs


def _torch_shard(
    checkpoint: Checkpoint, plan: FlatPlan, names: set[str], name: str, *, first: bool
) -> Built:
    metadata = dict(_metadata_of(plan, names, first=first))
    carried = {key: text for key, text in plan.strings.items() if (key, text) != ("format", "pt")}
    if carried:
        metadata[""] = {**metadata.get("", {}), CARRIED: carried}
    tensors = [each for each in _all_tensors(plan) if each.name in names]
    kept = set(plan.ties.values())
    given = [replace(each.given, ref=_tied(each, plan.ties, kept)) for each in tensors]
    blueprint = flat_torch_blueprint(checkpoint, given, {"": metadata}, name=name)
    asked = {each.name: each.given.ref.name for each in tensors}
    return SuppliedFile(blueprint.files[0], checkpoint, asked=asked), blueprint.tensors


def _all_tensors(plan: FlatPlan) -> list[Flat]:
    """The tensors, and behind the kept ones those that the input had left out."""
    present = {each.name for each in plan.tensors}
    missing: dict[str, list[str]] = {}
    for left, kept in plan.ties.items():
        if left not in present:
            missing.setdefault(kept, []).append(left)
    return [
        Flat(replace(each.ref, key=name), each.given)
        for each in plan.tensors
        for name in (each.name, *missing.get(each.name, ()))
    ]


def _tied(tensor: Flat, ties: Mapping[str, str], kept: set[str]) -> TensorRef:
    """The line with the name of the kept tensor as the storage of all that are tied to it."""
    name = ties.get(tensor.name, tensor.name)
    return replace(tensor.ref, storage=name if name in kept else "")


def _metadata_of(plan: FlatPlan, names: set[str], *, first: bool) -> Mapping[str, Any]:
    """`_metadata` of the modules that these tensors belong to.

    A module without any tensor is in the first shard.
    """
    wanted = modules_above(names)
    if first:
        anywhere = modules_above([*(each.name for each in plan.tensors), *plan.ties])
        wanted |= plan.metadata.keys() - anywhere
    return {path: entry for path, entry in plan.metadata.items() if path in wanted}
