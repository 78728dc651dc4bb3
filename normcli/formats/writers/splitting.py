"""Which tensor goes into which shard, and what the shards are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def split(sizes: Mapping[str, int], limit: int) -> list[list[str]]:
    """Names, shard by shard, filled one after the other as `huggingface_hub` does.

    A tensor above the limit is alone in a shard, which comes before the one being filled.

    Args:
        sizes: Name → bytes, in the order of the output.
        limit: Most bytes of a shard.
    """
    shards: list[list[str]] = []
    current: list[str] = []
    filled = 0
    for name, nbytes in sizes.items():
        if nbytes > limit:
            shards.append([name])
            continue
        if filled + nbytes > limit:
            shards.append(current)
            current, filled = [], 0
        current.append(name)
        filled += nbytes
    return [*shards, current] if current or not shards else shards


def shard_names(stem: str, suffix: str, count: int) -> list[str]:
    """`model-00001-of-00003.safetensors` and so on; `model.safetensors` where there is one."""
    if count == 1:
        return [f"{stem}{suffix}"]
    return [f"{stem}-{number:05d}-of-{count:05d}{suffix}" for number in range(1, count + 1)]
