"""A blueprint on disk: written to where nobody sees it, read back, then published at once."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from normcli.durable import new_file, new_folder
from normcli.formats import verify
from normcli.formats.source import Source
from normcli.records import InputFile
from normcli.stream import background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    from normcli.formats import Blueprint, FileBlueprint
    from normcli.formats.base import Checkpoint
    from normcli.rewrite.target import Target


@dataclass(frozen=True, slots=True)
class Work:
    """An output that is to be written.

    Attributes:
        checkpoint: The input; it must not have changed when the output appears.
        blueprint: Of the output.
        tensors: The made tensors, in the order in which the files ask for them.
        workers: Tensors read back at the same time.
        hashed: Whether every byte is hashed.
        watch: Told how many bytes were written, as they are.
    """

    checkpoint: Checkpoint
    blueprint: Blueprint
    tensors: Iterator[Tensor]
    workers: int
    hashed: bool
    watch: Callable[[int], None]

    def write(self, target: Target) -> tuple[InputFile, ...]:
        """The files written, each with its sha256 where `hashed`.

        Raises:
            OutputError: It could not be written, or does not read back as it was planned.
            CheckpointError: The input is damaged, or changed meanwhile.
        """
        return self._folder(target.path) if target.is_folder else (self._file(target),)

    def _file(self, target: Target) -> InputFile:
        like = None
        with suppress(OSError):  # nothing there yet
            like = os.stat(target.path)  # noqa: PTH116  as `new_file` takes it
        replace = target.force or target.in_place
        with new_file(target.path, replace=replace, like=like) as new:
            (blueprint,) = self.blueprint.files
            checksums = self._filled(blueprint, new.file)
            new.file.flush()
            # the disk writes while the file is read back
            with background(lambda _: os.fsync(new.file.fileno())) as synced:
                self._check(new.path, checksums)
                synced()
            return self._described(new.path, target.path.name)

    def _folder(self, path: Path) -> tuple[InputFile, ...]:
        """All files into a hidden folder, the index last."""
        checksums: dict[str, int] = {}
        with new_folder(path) as hidden:
            for each in self.blueprint.files:
                with (hidden / each.name).open("xb") as file:
                    checksums |= self._filled(each, file)
            self._check(str(hidden), checksums)
            names = (each.name for each in self.blueprint.files)
            return tuple(self._described(str(hidden / name), name) for name in names)

    def _filled(self, blueprint: FileBlueprint, file: BinaryIO) -> Mapping[str, int]:
        watched = cast("BinaryIO", _Watched(file, self.watch))
        return blueprint.write(watched, lambda _name: next(self.tensors))

    def _check(self, path: str, checksums: Mapping[str, int]) -> None:
        self.checkpoint.check_unchanged()  # first: what was copied may be of two versions
        verify(path, self.blueprint, checksums, workers=self.workers)
        self.checkpoint.check_unchanged()

    def _described(self, path: str, name: str) -> InputFile:
        source = Source(path)
        try:
            file = source.digest() if self.hashed else source.input_file()
        finally:
            source.close()
        return InputFile(name, file.nbytes, file.sha256)


class _Watched:
    """A file whose written bytes are counted."""

    def __init__(self, file: BinaryIO, watch: Callable[[int], None]) -> None:
        self._file, self._watch = file, watch
        self.seek, self.tell, self.flush = file.seek, file.tell, file.flush

    def write(self, data: bytes, /) -> int:
        count = self._file.write(data)
        self._watch(count)
        return count
