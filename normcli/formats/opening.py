"""The door: from a path to an opened checkpoint."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from normcli.errors import NormcliError, RefusedError
from normcli.formats.budgets import Budgets
from normcli.formats.opened import OpenedFile
from normcli.formats.safetensors_file import read_safetensors
from normcli.formats.sniff import kind_of
from normcli.formats.source import Source
from normcli.formats.spelling import quoted, several
from normcli.formats.torch_zip import read_torch_zip

if TYPE_CHECKING:
    from collections.abc import Callable

    from normcli.formats.base import Checkpoint
    from normcli.formats.opened import Header
    from normcli.records import Opaque

READERS: dict[str, Callable[[Source, Budgets], Header]] = {
    "safetensors": read_safetensors,
    "torch-zip": read_torch_zip,
    "torchscript": read_torch_zip,
}


def open_checkpoint(
    path: str | os.PathLike[str], *, allow_opaque: bool = False, budget_scale: float = 1.0
) -> Checkpoint:
    """Open a checkpoint: its header is read and checked, its tensors are not.

    Nothing that the file names is imported, called or built, and neither torch nor numpy is
    imported before the first tensor is read.

    Args:
        path: A file; a folder that holds one checkpoint; an index of shards, or one of the shards.
        allow_opaque: Open a file that holds foreign objects; they are listed in `opaque`.
        budget_scale: Raises (or lowers) every limit of `budgets.Budgets`.

    Raises:
        CheckpointError: It is not a checkpoint, or contradicts itself.
        RefusedError: It holds foreign objects, or is over budget.
    """
    name = os.fspath(path)
    budgets = Budgets().scaled(budget_scale)
    try:
        checkpoint = _open_file(name, budgets)
        if not allow_opaque:
            _check_opaque(checkpoint)
    except NormcliError as error:
        error.where = error.where or name
        raise
    return checkpoint


def _open_file(path: str, budgets: Budgets) -> Checkpoint:
    source = Source(path)
    try:
        return OpenedFile(source, READERS[kind_of(source)](source, budgets))
    except BaseException:
        source.close()
        raise


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
