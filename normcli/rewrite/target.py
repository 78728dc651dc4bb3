"""Where an output goes, in which format, and under which name where none was given."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from normcli.durable import check_folder, check_target
from normcli.errors import OutputError, UsageError

if TYPE_CHECKING:
    from normcli.formats.base import Checkpoint

_SUFFIXES = {
    ".safetensors": "safetensors",
    ".pt": "torch-zip", ".pth": "torch-zip", ".bin": "torch-zip", ".ckpt": "torch-zip",
}  # fmt: skip
_KINDS = {"safetensors": "safetensors", "sharded-safetensors": "safetensors"}  # else torch
_SHARDED = ("sharded-safetensors", "sharded-torch")


@dataclass(frozen=True, slots=True)
class Target:
    """An output before it is written.

    Attributes:
        path: A file, or a folder of shards.
        format: Key of `formats.WRITERS`.
        force: Whether a file that exists gives way.
        in_place: Whether it is the input.
    """

    path: Path
    format: str
    force: bool = False
    in_place: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether several files are written."""
        return self.format in _SHARDED

    def check(self, checkpoint: Checkpoint, nbytes: int = 0) -> None:
        """Say no before anything is computed.

        Raises:
            OutputError: Something is there, or there is no room.
        """
        if self.is_folder:
            check_folder(self.path, nbytes=nbytes)
        else:
            check_target(
                self.path,
                inputs=_inputs(checkpoint),
                force=self.force,
                in_place=self.in_place,
                nbytes=nbytes,
            )


def target_of(
    checkpoint: Checkpoint,
    word: str,
    *,
    output: str | os.PathLike[str] | None,
    force: bool,
    in_place: bool,
    sharded: bool,
) -> Target:
    """Where the output goes.

    Args:
        checkpoint: The input.
        word: What a name of ours says between name and suffix: `spectral`, `plain`.
        output: As the user gave it; None is `NAME.WORD.SUFFIX` beside the input.
        force: Whether a file that exists gives way.
        in_place: Whether the input is replaced.
        sharded: Whether a folder of shards is asked for.

    Raises:
        UsageError: Options that contradict each other.
        OutputError: Shards cannot be replaced in place.
    """
    if in_place:
        return _in_place(checkpoint, output, force=force)
    if output is None:
        return Target(_default(checkpoint, word), _same_format(checkpoint), force)
    if os.fspath(output) == "-":
        hint = "a checkpoint is read back before it appears: name a file"
        raise UsageError("a checkpoint is not written to standard output", where="-o", hint=hint)
    path = Path(output)
    suffix = _SUFFIXES.get(path.suffix.lower())
    if sharded and suffix:
        hint = "name a folder: -o FOLDER --max-shard-size 5GB"
        raise UsageError("shards need a folder, not a file", where=str(path), hint=hint)
    if sharded or (suffix is None and (_is_sharded(checkpoint) or _looks_like_folder(output))):
        return Target(path, f"sharded-{_kind(checkpoint)}", force)
    return Target(path, suffix or _same_format(checkpoint), force)


def _in_place(
    checkpoint: Checkpoint, output: str | os.PathLike[str] | None, *, force: bool
) -> Target:
    if output is not None or force:
        hint = "give one of them"
        raise UsageError("stands alone, without -o and --force", where="--in-place", hint=hint)
    if _is_sharded(checkpoint):
        raise OutputError(
            "has several files, which cannot be replaced at one moment",
            where=checkpoint.path,
            hint="write to a new folder with -o",
        )
    return Target(
        Path(os.path.realpath(_file(checkpoint))), _same_format(checkpoint), in_place=True
    )


def _default(checkpoint: Checkpoint, word: str) -> Path:
    if not _is_sharded(checkpoint):
        file = _file(checkpoint)
        return file.with_name(f"{file.stem}.{word}{file.suffix}")
    path = Path(checkpoint.path)
    if path.is_dir():
        whole = path.resolve()
        return (
            path.parent / f"{path.name}.{word}"
            if path.name
            else whole.parent / f"{whole.name}.{word}"
        )
    return path.with_name(f"{path.name.partition('.')[0].partition('-0')[0]}.{word}")


def _file(checkpoint: Checkpoint) -> Path:
    """The one file of a checkpoint, also where its folder was given."""
    path = Path(checkpoint.path)
    return path / checkpoint.files[0].name if path.is_dir() else path


def _inputs(checkpoint: Checkpoint) -> list[str]:
    path = Path(checkpoint.path)
    folder = path if path.is_dir() else path.parent
    return [checkpoint.path, *(str(folder / file.name) for file in checkpoint.files)]


def _is_sharded(checkpoint: Checkpoint) -> bool:
    return checkpoint.format in _SHARDED


def _looks_like_folder(output: str | os.PathLike[str]) -> bool:
    return os.fspath(output).endswith(os.sep) or Path(output).is_dir()


def _kind(checkpoint: Checkpoint) -> str:
    return _KINDS.get(checkpoint.format, "torch")


def _same_format(checkpoint: Checkpoint) -> str:
    if _is_sharded(checkpoint):
        return checkpoint.format
    return "safetensors" if _kind(checkpoint) == "safetensors" else "torch-zip"
