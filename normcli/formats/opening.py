"""The door: from a path to an opened checkpoint."""

from __future__ import annotations

import os
import stat
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from normcli.errors import CheckpointError, NormcliError, RefusedError
from normcli.formats.budgets import Budgets
from normcli.formats.folder import file_in, index_of
from normcli.formats.opened import OpenedFile
from normcli.formats.safetensors_file import read_safetensors
from normcli.formats.sharded import SHARD_NAME, open_shards
from normcli.formats.sniff import kind_of
from normcli.formats.source import Source
from normcli.formats.spelling import quoted, several
from normcli.formats.torch_legacy import read_torch_legacy
from normcli.formats.torch_zip import read_torch_zip

if TYPE_CHECKING:
    from collections.abc import Callable

    from normcli.formats.base import Checkpoint
    from normcli.formats.opened import Header
    from normcli.records import Opaque


def open_checkpoint(
    path: str | os.PathLike[str], *, allow_opaque: bool = False, budget_scale: float = 1.0
) -> Checkpoint:
    """Open a checkpoint: its header is read and checked, its tensors are not.

    Nothing that the file names is imported, called or built, and neither torch nor numpy is
    imported before the first tensor is read.

    Args:
        path: A file; a folder that holds one checkpoint; an index of shards, or one of the shards,
            which opens all of them.
        allow_opaque: Open a file that holds foreign objects; they are listed in `opaque`.
        budget_scale: Raises (or lowers) every limit of `budgets.Budgets`.

    Raises:
        CheckpointError: It is not a checkpoint, or contradicts itself.
        RefusedError: It holds foreign objects, or is over budget.
    """
    name = os.fspath(path)
    budgets = Budgets().scaled(budget_scale)
    try:
        checkpoint = _open(name, budgets)
        if not allow_opaque:
            _check_opaque(checkpoint)
    except NormcliError as error:
        error.where = error.where or name
        raise
    checkpoint.path = name
    return checkpoint


def _open(name: str, budgets: Budgets) -> Checkpoint:
    path, notes = _resolved(Path(name), budgets)
    checkpoint = _open_any(name if path == Path(name) else str(path), budgets)
    checkpoint.notes = (*notes, *checkpoint.notes)
    return checkpoint


def _resolved(path: Path, budgets: Budgets) -> tuple[Path, list[str]]:
    """The file that stands for what was given, and what to tell about it."""
    if "\0" in str(path):
        raise CheckpointError("is not a path: it holds a NUL character")
    if _is_folder(path):
        file = file_in(path)
        return file, [f"read {file.name} of the folder"]
    if not SHARD_NAME.search(path.name):
        return path, []
    index = index_of(path, budgets)
    if index is None:
        return path, ["is named like one shard of several, but no index beside it names it"]
    return index, [f"read all shards of {index.name}"]


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):  # opening it as a file says what is wrong
        return False


def _open_any(path: str, budgets: Budgets, *, shard: bool = False) -> Checkpoint:
    source = Source(path)
    try:
        return READERS[kind_of(source, shard=shard)](source, budgets)
    except BaseException as error:
        source.close()
        if isinstance(error, NormcliError):
            error.where = error.where or path
        raise


def _one_file(read: Callable[[Source, Budgets], Header]) -> Callable[[Source, Budgets], Checkpoint]:
    return lambda source, budgets: OpenedFile(source, read(source, budgets))


def _shards(source: Source, budgets: Budgets) -> Checkpoint:
    return open_shards(source, budgets, partial(_open_any, shard=True))


def _check_opaque(checkpoint: Checkpoint) -> None:
    if checkpoint.opaque:
        checkpoint.close()
        listed = several(map(_described, checkpoint.opaque))
        raise RefusedError(
            f"refused: holds objects that are not tensors or plain data: {listed}",
            hint="nothing of them was run; --allow-opaque reads the tensors beside them",
        )


def _described(opaque: Opaque) -> str:
    place = f", at {quoted(opaque.place)[1:-1]}" if opaque.place else ""
    return f"{quoted(opaque.what)[1:-1]} ({opaque.count}{place})"


# Name of the format → how an open file becomes a checkpoint. What the first bytes show decides
# which one is asked (`sniff.py`); TorchScript and the kind of shards are told apart further in.
READERS: dict[str, Callable[[Source, Budgets], Checkpoint]] = {
    "safetensors": _one_file(read_safetensors),
    "torch-zip": _one_file(read_torch_zip),
    "torchscript": _one_file(read_torch_zip),
    "torch-legacy": _one_file(read_torch_legacy),
    "sharded-safetensors": _shards,
    "sharded-torch": _shards,
}
