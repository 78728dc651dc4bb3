"""A checkpoint in several files with an index, as Hugging Face writes it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normcli.errors import CheckpointError, RefusedError, UsageError
from normcli.formats.base import Checkpoint
from normcli.formats.shard_index import read_index
from normcli.formats.source import never
from normcli.formats.spelling import quoted, several

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from normcli.formats.budgets import Budgets
    from normcli.formats.shard_index import ShardIndex
    from normcli.formats.source import Source
    from normcli.records import InputFile, Opaque, Skipped, TensorRef

_FORMATS = {
    "safetensors": "sharded-safetensors",
    "torch-zip": "sharded-torch",
    "torch-legacy": "sharded-torch",
}
SHARD_NAME = re.compile(r"-\d+-of-(\d+)\.")


def open_shards(
    source: Source, budgets: Budgets, open_file: Callable[[str, Budgets], Checkpoint]
) -> OpenedShards:
    """Open every shard that an index names, and hold the two against each other.

    Args:
        source: The index.
        budgets: Most shards; and the limits of each shard.
        open_file: Opens one shard.

    Raises:
        CheckpointError: A shard is missing or of another format; a tensor in the wrong shard, in
            two, or in none.
    """
    index = read_index(source, budgets)
    names = sorted(set(index.weight_map.values()))
    if len(names) > budgets.shards:
        raise RefusedError(f"names {len(names)} shards, the limit is {budgets.shards}")
    folder = Path(source.path).parent
    _check_folder(folder, names)
    shards: dict[str, Checkpoint] = {}
    try:
        for name in names:
            shards[name] = open_file(str(folder / name), budgets)
        _check_agreement(index, shards)
        return OpenedShards(source, index, shards)
    except BaseException:
        for shard in shards.values():
            shard.close()
        raise


class OpenedShards(Checkpoint):
    """A checkpoint in several files; the contract is `Checkpoint`.

    Attributes:
        shards: Name of the file → what it holds, by itself.
        index: What says so.
    """

    def __init__(self, source: Source, index: ShardIndex, shards: Mapping[str, Checkpoint]) -> None:
        self.path = source.path
        self.format = _format(shards)
        self.files: tuple[InputFile, ...] = tuple(
            file for shard in shards.values() for file in shard.files
        )
        self.tensors: Mapping[str, TensorRef] = {
            name: _placed(shards[shard].tensors[name], shard)
            for name, shard in index.weight_map.items()
            if name in shards[shard].tensors
        }
        self.metadata: Mapping[str, Mapping[str, Any]] = _merged_metadata(shards)
        self.skipped = tuple(each for shard in shards.values() for each in shard.skipped)
        self.opaque = _merged_opaque(shards)
        self.notes: tuple[str, ...] = (*_notes(index, self.tensors), *_shard_notes(shards))
        self.strings: Mapping[str, str] = _merged_strings(shards)
        self.shards = shards
        self.index = index
        self._source = source

    def read(self, name: str, *, out: Tensor | None = None) -> Tensor:
        """As `Checkpoint.read`; into `out`, a uint8 buffer, where one is given."""
        return self._shard_of(name).read(name, out=out)

    def pieces(self, name: str) -> Iterator[Tensor]:
        """As `Checkpoint.pieces`."""
        return self._shard_of(name).pieces(name)

    def raw(self, name: str) -> Iterator[memoryview]:
        """As `Checkpoint.raw`."""
        return self._shard_of(name).raw(name)

    def _shard_of(self, name: str) -> Checkpoint:
        if name not in self.tensors:
            raise UsageError(f"holds no tensor {quoted(name)}", where=self.path)
        return self.shards[self.index.weight_map[name]]

    def is_contiguous(self, name: str) -> bool:
        """As `Checkpoint.is_contiguous`."""
        return self._shard_of(name).is_contiguous(name)

    def spans(self, file: InputFile) -> Iterator[tuple[str, memoryview]]:
        """As `Checkpoint.spans`."""
        return self.shards[file.name].spans(file)

    def digest(self, file: InputFile, unwanted: Callable[[], bool] = never) -> InputFile:
        """The shard of that name with its sha256."""
        return self.shards[file.name].digest(file, unwanted)

    def leftovers(self) -> tuple[Skipped, ...]:
        """As `Checkpoint.leftovers`."""
        return tuple(each for shard in self.shards.values() for each in shard.leftovers())

    def check_unchanged(self) -> None:
        """Raise `ChangedError` if the index or a shard is not what was opened."""
        self._source.check_unchanged()
        for shard in self.shards.values():
            shard.check_unchanged()

    def close(self) -> None:
        """Give the descriptors back."""
        self._source.close()
        for shard in self.shards.values():
            shard.close()


def _check_folder(folder: Path, names: list[str]) -> None:
    """No shard of the same set lies beside the index without being in it."""
    sets = {SHARD_NAME.sub(r"-*-of-\1.", name) for name in names if SHARD_NAME.search(name)}
    for name in _listed(folder):
        if name not in names and SHARD_NAME.sub(r"-*-of-\1.", name) in sets:
            raise CheckpointError(f"does not name the shard {quoted(name)} beside it")


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:  # a folder that may be entered but not listed: the shards open all the same
        return []


def _check_agreement(index: ShardIndex, shards: Mapping[str, Checkpoint]) -> None:
    for shard, opened in shards.items():
        held = {*opened.tensors, *(each.name for each in opened.skipped)}
        expected = {name for name, place in index.weight_map.items() if place == shard}
        missing = sorted(expected - held)
        if missing:
            raise CheckpointError(
                f"says that {several(map(quoted, missing), most=3)} is in {quoted(shard)}, "
                "which lacks it"
            )
        for name in sorted(held - expected):
            place = index.weight_map.get(name)
            said = "nowhere" if place is None else f"in {quoted(place)}"
            raise CheckpointError(f"says that {quoted(name)} is {said}, {quoted(shard)} holds it")


def _format(shards: Mapping[str, Checkpoint]) -> str:
    formats = {name: _FORMATS.get(shard.format) for name, shard in shards.items()}
    kinds = set(formats.values())
    if len(kinds) != 1 or None in kinds:
        listed = several(f"{quoted(name)} {shard.format}" for name, shard in shards.items())
        raise CheckpointError(f"names shards of different formats: {listed}")
    return str(kinds.pop())


def _placed(ref: TensorRef, shard: str) -> TensorRef:
    """The line with its storage told apart from another shard's."""
    return replace(ref, storage=f"{shard}/{ref.storage}") if ref.storage else ref


def _merged_metadata(shards: Mapping[str, Checkpoint]) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for shard in shards.values():
        for section, entries in shard.metadata.items():
            merged.setdefault(section, {}).update(entries)
    return merged


def _merged_strings(shards: Mapping[str, Checkpoint]) -> dict[str, str]:
    return {key: value for shard in shards.values() for key, value in shard.strings.items()}


def _merged_opaque(shards: Mapping[str, Checkpoint]) -> tuple[Opaque, ...]:
    merged: dict[str, Opaque] = {}
    for shard in shards.values():
        for each in shard.opaque:
            before = merged.get(each.what)
            count = each.count + (before.count if before else 0)
            merged[each.what] = replace(before or each, count=count)
    return tuple(merged.values())


def _notes(index: ShardIndex, tensors: Mapping[str, TensorRef]) -> list[str]:
    total = sum(ref.nbytes for ref in tensors.values())
    distinct = {ref.storage or name: ref.nbytes for name, ref in tensors.items()}
    if index.total_size in (None, total, sum(distinct.values())):
        return []
    return [f"the index claims {index.total_size} bytes of tensors, the shards hold {total}"]


def _shard_notes(shards: Mapping[str, Checkpoint]) -> list[str]:
    return [f"{name}: {note}" for name, shard in shards.items() for note in shard.notes]
