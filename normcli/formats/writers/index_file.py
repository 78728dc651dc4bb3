"""The index of a sharded output as a file: JSON as Hugging Face writes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from normcli.errors import CheckpointError
from normcli.formats.writers.pouring import write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class IndexFile:
    """An index; the contract is `FileBlueprint`.

    Attributes:
        name: As there.
        content: The JSON.
    """

    name: str
    content: bytes
    order: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """As `FileBlueprint.nbytes`."""
        return len(self.content)

    def write(self, out: BinaryIO, made: Callable[[str], Tensor]) -> Mapping[str, int]:  # noqa: ARG002 - it has no tensors
        """As `FileBlueprint.write`."""
        write_all(out, self.content)
        return {}


def index_file(
    name: str,
    weight_map: Mapping[str, str],
    total_size: int,
    *,
    content: Mapping[str, Any] | None = None,
) -> IndexFile:
    """The index that places every tensor in its file.

    Args:
        name: Of the index.
        weight_map: Tensor → name of its file.
        total_size: Bytes of all tensors, tied ones counted once.
        content: Of the index that it stands for; all else in it stays.

    Raises:
        CheckpointError: JSON cannot hold that content again.
    """
    content = content or {}
    metadata = content.get("metadata")
    kept = metadata if isinstance(metadata, dict) else {}
    index = {
        **content,
        "metadata": {**kept, "total_size": total_size},
        "weight_map": dict(weight_map),
    }
    try:
        text = json.dumps(index, indent=2, sort_keys=True, allow_nan=False)
    except (ValueError, RecursionError) as error:  # 1e999, or very deep
        raise CheckpointError(f"its index cannot be written again: {error}") from error
    return IndexFile(name, f"{text}\n".encode())
