"""A blueprint on disk: written to where nobody sees it, read back, then published at once."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from normcli.durable import new_file, new_folder
from normcli.formats import verify
from normcli.formats.source import Source
from normcli.records import InputFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from normcli.formats import Blueprint
    from normcli.formats.base import Checkpoint
    from normcli.rewrite.target import Target


def write(
    checkpoint: Checkpoint,
    blueprint: Blueprint,
    target: Target,
    tensors: Iterator[Tensor],
    *,
    workers: int,
    hashed: bool,
) -> tuple[InputFile, ...]:
    """The files written, each with its sha256 where `hashed`.

    Args:
        checkpoint: The input; it must not have changed when the output appears.
        blueprint: Of the output.
        target: Where it goes.
        tensors: The made tensors, in the order in which the files ask for them.
        workers: Tensors read back at the same time.
        hashed: Whether every byte is hashed.

    Raises:
        OutputError: It could not be written, or does not read back as it was planned.
        CheckpointError: The input is damaged, or changed meanwhile.
    """

    def made(_name: str) -> Tensor:
        return next(tensors)

    if target.is_folder:
        return _folder(checkpoint, blueprint, target.path, made, workers=workers, hashed=hashed)
    like = None
    with suppress(OSError):  # nothing there yet
        like = os.stat(target.path)  # noqa: PTH116  as `new_file` takes it
    replace = target.force or target.in_place
    with new_file(target.path, replace=replace, like=like) as new:
        checksums = blueprint.files[0].write(new.file, made)
        new.file.flush()
        verify(new.path, blueprint, checksums, workers=workers)
        file = _described(new.path, target.path.name, hashed=hashed)
        checkpoint.check_unchanged()
    return (file,)


def _folder(
    checkpoint: Checkpoint,
    blueprint: Blueprint,
    path: Path,
    made: Callable[[str], Tensor],
    *,
    workers: int,
    hashed: bool,
) -> tuple[InputFile, ...]:
    """All files into a hidden folder, the index last."""
    checksums: dict[str, int] = {}
    with new_folder(path) as hidden:
        for each in blueprint.files:
            with (hidden / each.name).open("xb") as file:
                checksums |= each.write(file, made)
        verify(str(hidden), blueprint, checksums, workers=workers)
        files = [
            _described(str(hidden / each.name), each.name, hashed=hashed)
            for each in blueprint.files
        ]
        checkpoint.check_unchanged()
    return tuple(files)


def _described(path: str, name: str, *, hashed: bool) -> InputFile:
    source = Source(path)
    try:
        file = source.digest() if hashed else source.input_file()
    finally:
        source.close()
    return InputFile(name, file.nbytes, file.sha256)
