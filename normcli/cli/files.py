"""Text files written whole or not at all, never over an input."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from normcli.durable import check_target, is_plain, is_same, new_file
from normcli.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# What a report never replaces, --force or not: it may be a shard of an input.
CHECKPOINTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".index.json")


def refuse(path: Path, *, force: bool, inputs: Iterable[str]) -> None:
    """Say no before anything is computed.

    Raises:
        OutputError: The file is an input, named like a checkpoint, not a plain file, or exists
            without `force`.
    """
    where = str(path)
    refuse_inputs(path, inputs)
    if not is_plain(path):
        hint = "-o - is standard output"
        raise OutputError("exists and is not a plain file", where=where, hint=hint)
    if os.path.lexists(path) and path.name.lower().endswith(CHECKPOINTS):
        raise OutputError("exists and is named like a checkpoint", where=where)
    check_target(path, inputs=(), force=force)


def refuse_inputs(path: Path, inputs: Iterable[str]) -> None:
    """Say no to an output that is an input.

    Raises:
        OutputError: It is one, by any link.
    """
    if any(is_same(path, Path(each)) for each in inputs):
        raise OutputError("is an input; normcli does not write over it", where=str(path))


def publish(path: Path, write: Callable[[TextIO], None], *, force: bool) -> None:
    """Write a file beside its place and move it there when it is complete.

    Without `force` it is linked into place: that fails if somebody was faster.
    """
    with new_file(path, replace=force) as new, _text(new.file.fileno()) as out:
        write(out)


def append(path: Path, write: Callable[[TextIO], None]) -> None:
    """Add to the end of a file."""
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n") as out:
            write(out)
    except OSError as error:
        raise OutputError(error.strerror or str(error), where=str(path)) from error


def _text(descriptor: int) -> TextIO:
    return open(
        descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n", closefd=False
    )
