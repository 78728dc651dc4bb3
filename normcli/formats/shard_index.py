"""The index of a sharded checkpoint: which tensor is in which file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from normcli.errors import CheckpointError, RefusedError
from normcli.formats.spelling import quoted
from normcli.formats.strict_json import parse_json, unique

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normcli.formats.budgets import Budgets
    from normcli.formats.source import Source

_SEPARATORS = frozenset("/\\\0")


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """An index, checked by itself.

    Attributes:
        name: Of its file.
        weight_map: Tensor → name of the file beside the index.
        total_size: Bytes of all tensors as the index claims them, or None.
        content: All of the JSON.
    """

    name: str
    weight_map: dict[str, str]
    total_size: int | None
    content: Mapping[str, Any]


def read_index(source: Source, budgets: Budgets) -> ShardIndex:
    """The index in a JSON file.

    Raises:
        CheckpointError: It is no index, a key comes twice, or a shard is not a plain file name.
    """
    if source.size > budgets.header:
        raise RefusedError(f"is JSON of {source.size} bytes, the limit is {budgets.header}")
    content = parse_json(source.read(0, source.size), "the file", budgets, unique)
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(weight_map, dict):
        raise CheckpointError(
            "is JSON, but not the index of a sharded checkpoint: it has no weight_map",
            hint="give the file that holds the weights",
        )
    if not weight_map:
        raise CheckpointError("has an empty weight_map")
    for name, shard in weight_map.items():
        _check_shard(name, shard, budgets)
    return ShardIndex(source.name, weight_map, _total_size(content.get("metadata")), content)


def _check_shard(name: str, shard: object, budgets: Budgets) -> None:
    if len(name) > budgets.name:
        raise CheckpointError(f"names a tensor with {len(name)} characters")
    plain = (
        isinstance(shard, str)
        and shard not in ("", ".", "..")
        and len(shard) <= 255  # the longest name a file can have
        and shard.isprintable()
        and not _SEPARATORS & set(shard)
    )
    if not plain:
        raise RefusedError(f"places {quoted(name)} in {quoted(shard)}, which is no plain file name")


def _total_size(metadata: Any) -> int | None:  # noqa: ANN401 - JSON is any
    size = metadata.get("total_size") if isinstance(metadata, dict) else None
    if isinstance(size, float) and size.is_integer():
        return int(size)
    return size if type(size) is int else None
