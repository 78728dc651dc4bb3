"""What the model is run on: a batch from a file, or from the caller, as arguments of forward."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from normcli.errors import CheckpointError, NormcliError, RefusedError, UsageError
from normcli.formats import open_checkpoint
from normcli.formats.source import Source
from normcli.formats.spelling import quoted, several
from normcli.initialization.npy import MAGIC, read_npy
from normcli.initialization.placing import INPUT, placed

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from normcli.formats import Checkpoint
    from normcli.records import InputFile

_ENTRY = 30  # bytes of a zip entry before its name
_PACKED = "float4_e2m1fn_x2"  # two numbers a byte
_FORMATS = "save one array with numpy.save, several with safetensors.numpy.save_file"
_TENSORS = "save the tensors alone: safetensors.torch.save_file(tensors, 'batch.safetensors')"


@dataclass(frozen=True, slots=True)
class Batch:
    """The tensors of a file, and which bytes they are.

    Attributes:
        tensors: Name → tensor on the CPU; `input` alone for a numpy array.
        file: Its name as the user gave it; with sha256 where that was asked for.
    """

    tensors: Mapping[str, Tensor]
    file: InputFile


def read_batch(path: str, *, hashed: bool) -> Batch:
    """All tensors of a file: numpy's .npy, or any checkpoint; the content decides.

    Args:
        path: A regular file.
        hashed: Whether to give its sha256; the bytes hashed are those that were read.

    Raises:
        CheckpointError: It cannot be read, holds no tensor, or one without entries, or one with
            a NaN.
        ChangedError: Somebody wrote to it in the meantime.
    """
    path = os.fspath(path)
    try:
        batch = _read_array(path, hashed=hashed) or _read_checkpoint(path, hashed=hashed)
        for name, tensor in batch.tensors.items():
            _check_numbers(name, tensor)
    except NormcliError as error:
        error.where = error.where or path
        raise
    return batch


def _read_array(path: str, *, hashed: bool) -> Batch | None:
    """The array of an .npy file; None for all other files."""
    source = Source(path)
    try:
        head = source.read(0, min(source.size, 512))
        if _is_npz(head):
            raise CheckpointError("is an archive of numpy arrays (.npz)", hint=_FORMATS)
        if not head.startswith(MAGIC):
            return None
        tensors = {INPUT: read_npy(source)}
        file = source.digest() if hashed else source.input_file()
        source.check_unchanged()
    finally:
        source.close()
    return Batch(MappingProxyType(tensors), replace(file, name=path))


def _is_npz(head: bytes) -> bool:
    """Whether it is a zip archive whose first entry is an array."""
    if not head.startswith(b"PK\x03\x04") or len(head) < _ENTRY:
        return False
    (length,) = struct.unpack_from("<H", head, 26)
    return head[_ENTRY : _ENTRY + length].endswith(b".npy")


def _read_checkpoint(path: str, *, hashed: bool) -> Batch:
    """The tensors of a checkpoint, refused where it holds more that could be meant."""
    with open_checkpoint(path, allow_opaque=True) as checkpoint:
        _check_content(checkpoint)
        tensors = {name: checkpoint.read(name) for name in checkpoint.tensors}
        file = checkpoint.digest(checkpoint.files[0]) if hashed else checkpoint.files[0]
        checkpoint.check_unchanged()
    return Batch(MappingProxyType(tensors), replace(file, name=path))


def _check_content(checkpoint: Checkpoint) -> None:
    """Decide from the header."""
    if checkpoint.opaque:
        found = several(quoted(each.what)[1:-1] for each in checkpoint.opaque)
        message = f"refused: holds objects that are not tensors or plain data: {found}"
        raise RefusedError(message, hint=f"nothing of them was run; {_TENSORS}")
    if len(checkpoint.files) != 1:
        count = len(checkpoint.files)
        raise CheckpointError(f"is a checkpoint of {count} files, expected one", hint=_TENSORS)
    if checkpoint.skipped:
        found = several(f"{quoted(each.name)} ({each.reason})" for each in checkpoint.skipped)
        raise CheckpointError(f"holds what is not read: {found}", hint=_TENSORS)
    if not checkpoint.tensors:
        raise CheckpointError("holds no tensors", hint=_TENSORS)
    for ref in checkpoint.tensors.values():
        if ref.dtype == _PACKED:
            raise CheckpointError(f"{quoted(ref.name)} is {_PACKED}, which torch does not compute")
        if 0 in ref.shape:
            message = f"{quoted(ref.name)} has shape {list(ref.shape)}, expected at least one entry"
            raise CheckpointError(message)


def _check_numbers(name: str, tensor: Tensor) -> None:
    count = _nans(tensor)
    if count:
        total = f"{count} of {tensor.numel()} values"
        message = f"{quoted(name)} holds NaN in {total}, expected numbers"
        raise CheckpointError(message, hint="one such value spoils every mean it enters")


def _nans(tensor: Tensor) -> int:
    """How many values are NaN; infinities may stand in a mask of attention."""
    return int(_countable(tensor).isnan().sum())


def _countable(tensor: Tensor) -> Tensor:
    """In a dtype that torch tests for NaN and Inf: those of eight bits it does not."""
    eight_bits = tensor.is_floating_point() and tensor.dtype.itemsize == 1
    return tensor.float() if eight_bits else tensor


def call_arguments(
    model: nn.Module, batch: Mapping[str, Tensor], *, where: str
) -> tuple[tuple[Any, ...], dict[str, Any], tuple[str, ...]]:
    """Positional and keyword arguments of the model's forward, and what to tell about them.

    Tensors go to the device of the model. A floating-point tensor takes the model's dtype, since
    files hold batches in whatever dtype the data had; all others keep theirs.

    Args:
        model: Its first parameter or buffer tells the device, the first floating one the dtype.
        batch: By the names that forward has for them; `input` is its first argument too.
        where: Names the batch in messages.

    Raises:
        UsageError: The names do not fit forward, or a value is too large for the model's dtype.
    """
    device, dtype = _home(model)
    moved, notes = {}, []
    for name, tensor in batch.items():
        moved[name] = tensor
        if dtype is not None and tensor.is_floating_point() and tensor.dtype != dtype:
            moved[name] = _cast(name, tensor, dtype, where)
            notes.append(f"{quoted(name)} is {_word(tensor.dtype)}, run as {_word(dtype)}")
        if device is not None:
            moved[name] = moved[name].to(device)
    return *placed(model, moved, where=where), tuple(notes)


def _home(model: nn.Module) -> tuple[torch.device | None, torch.dtype | None]:
    """Device of the model's first tensor and dtype of its first floating-point parameter."""
    tensors = chain(model.parameters(), model.buffers())
    device = next((each.device for each in tensors), None)
    floating = (each.dtype for each in model.parameters() if each.is_floating_point())
    dtype = next((each for each in floating if each.itemsize > 1), None)
    return device, dtype


def _cast(name: str, tensor: Tensor, dtype: torch.dtype, where: str) -> Tensor:
    cast = tensor.to(dtype)
    if bool((cast.isinf() & ~_countable(tensor).isinf()).any()):
        message = f"{quoted(name)} is {_word(tensor.dtype)}, with values too large for the model's"
        raise UsageError(f"{message} {_word(dtype)}", where=where)
    return cast


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def arguments_from(model: nn.Module, batch: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments of the model's forward, as a caller in Python gives them.

    Nothing is moved or cast.

    Args:
        model: That is called with them.
        batch: A tensor, a tuple or list of positional arguments, or names → arguments.

    Raises:
        UsageError: It is something else, or its names do not fit forward.
    """
    from torch import Tensor

    if isinstance(batch, Tensor):
        return (batch,), {}
    if isinstance(batch, (tuple, list)):
        return tuple(batch), {}
    if isinstance(batch, Mapping):
        return placed(model, batch, where="batch")
    found = type(batch).__name__
    message = f"is of type {found}, expected a tensor, a tuple, a list or a mapping of names"
    raise UsageError(message, where="batch")
