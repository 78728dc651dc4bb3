"""Which file of a folder is the checkpoint, and which index a shard belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.errors import CheckpointError
from normcli.formats.shard_index import read_index
from normcli.formats.sharded import SHARD_NAME
from normcli.formats.source import Source
from normcli.formats.spelling import quoted, several

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from normcli.formats.budgets import Budgets

# What Hugging Face libraries call a model in one file, beside which other files may lie.
_MODELS = frozenset(
    f"{stem}{suffix}"
    for stem in ("model", "pytorch_model", "diffusion_pytorch_model", "adapter_model")
    for suffix in (".safetensors", ".bin")
)
_SUFFIXES = frozenset({".safetensors", ".bin", ".pt", ".pth", ".ckpt"})


def file_in(folder: Path) -> Path:
    """The one checkpoint of a folder: its index, the file of a known name, or the only file.

    Raises:
        CheckpointError: There is none, or more than one.
    """
    try:
        files = sorted(path for path in folder.iterdir() if not path.is_dir())
    except OSError as error:
        raise CheckpointError(f"cannot be listed: {error.strerror}") from error
    candidates = (
        [path for path in files if _is_index(path)]
        or [path for path in files if path.name in _MODELS]
        or [path for path in files if path.suffix in _SUFFIXES]
    )
    if len(candidates) == 1:
        return candidates[0]
    if not candidates and any(path.name == ".metadata" for path in files):
        raise CheckpointError(
            "is a distributed checkpoint (.metadata), which normcli does not read",
            hint="where you trust it: python -m torch.distributed.checkpoint.format_utils "
            "dcp_to_torch FOLDER FILE",
        )
    if not candidates:
        raise CheckpointError(
            "is a folder without a checkpoint",
            hint=f"expected an index or one file ending in {', '.join(sorted(_SUFFIXES))}",
        )
    listed = several(quoted(path.name) for path in candidates)
    raise CheckpointError(
        f"is a folder with several checkpoints: {listed}", hint="give one of these files"
    )


def index_of(shard: Path, budgets: Budgets) -> Path | None:
    """The index beside a file that is named like a shard and that the index names.

    Raises:
        CheckpointError: Two indexes name it, or an index cannot be read.
    """
    if not SHARD_NAME.search(shard.name):
        return None
    try:
        indexes = [path for path in sorted(shard.parent.iterdir()) if _is_index(path)]
    except OSError:  # a folder that may be entered but not listed: the file is opened alone
        return None
    naming = [path for path in indexes if _names(path, shard.name, budgets)]
    if len(naming) > 1:
        listed = several(quoted(path.name) for path in naming)
        raise CheckpointError(f"is a shard of several indexes: {listed}", hint="give one of these")
    return naming[0] if naming else None


def shards_of_one(folder: Path, names: Iterable[str]) -> frozenset[str]:
    """Those of the shards of an index that open it when they are given; none beside another index.

    A shard that two indexes name is refused, so one beside a second index has to be opened.
    """
    try:
        indexes = sum(map(_is_index, folder.iterdir()))
    except OSError:
        return frozenset()
    return frozenset(name for name in names if SHARD_NAME.search(name) and indexes == 1)


def _is_index(path: Path) -> bool:
    """`model.safetensors.index.json`, `model.safetensors.index.fp16.json`."""
    return path.suffix == ".json" and ".index." in path.name


def _names(index: Path, shard: str, budgets: Budgets) -> bool:
    source = Source(str(index))
    try:
        return shard in read_index(source, budgets).weight_map.values()
    except CheckpointError as error:
        error.where = error.where or str(index)
        raise
    finally:
        source.close()
