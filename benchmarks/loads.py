"""The checkpoints of `load.py`: many tensors, shards and files, a large tensor, long names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

EDGE = 32
IN_A_SHARD = 750
NAME_LENGTH = 10_000


def save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Write tensors in the format that the suffix names."""
    if path.suffix == ".pt":
        torch.save(tensors, path)
    else:
        save_file(tensors, path, metadata={"format": "pt"})


def matrices(count: int, edge: int, *, first: int = 0) -> dict[str, torch.Tensor]:
    """So many square matrices, numbered."""
    return {
        f"layers.{number}.weight": torch.randn(edge, edge) for number in range(first, first + count)
    }


def write_tensors(path: Path, size: int) -> None:
    """A file of so many matrices of 4 × 4."""
    save(matrices(size, 4), path)


def write_shards(path: Path, size: int) -> None:
    """A folder of so many shards of 750 matrices of 32 × 32."""
    path.mkdir()
    places: dict[str, str] = {}
    for number in range(size):
        tensors = matrices(IN_A_SHARD, EDGE, first=number * IN_A_SHARD)
        name = f"model-{number + 1:05}-of-{size:05}.safetensors"
        save(tensors, path / name)
        places |= dict.fromkeys(tensors, name)
    index = {"metadata": {"total_size": len(places) * EDGE * EDGE * 4}, "weight_map": places}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))


def write_large(path: Path, size: int) -> None:
    """A file of one matrix of so many bytes."""
    save({"weight": torch.randn(size // 4 // 10_000, 10_000)}, path)


def write_files(path: Path, size: int) -> None:
    """A folder of so many checkpoints of 5 matrices of 32 × 32."""
    path.mkdir()
    for number in range(size):
        save(matrices(5, EDGE), path / f"epoch{number:03}.safetensors")


def write_names(path: Path, size: int) -> None:
    """A file of so many matrices of 4 × 4 with names of 10,000 characters."""
    tensors = (torch.randn(4, 4) for _ in range(size))
    save({f"{number:0{NAME_LENGTH}}": tensor for number, tensor in enumerate(tensors)}, path)


BUILDERS: Mapping[str, Callable[[Path, int], None]] = {
    "tensors": write_tensors,
    "shards": write_shards,
    "large": write_large,
    "files": write_files,
    "names": write_names,
}
