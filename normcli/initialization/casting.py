"""Tensors of a checkpoint in the dtypes that a model computes in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from normcli.errors import CheckpointError
from normcli.formats.spelling import quoted
from normcli.initialization.header import dtype_name
from normcli.records import MEASURABLE
from normcli.rewrite.values.settled import is_finite

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


def cast(key: str, tensor: Tensor, name: str) -> Tensor:
    """A tensor in the dtype of the model: floating numbers are rounded, all others stay equal.

    Args:
        key: Names it in messages.
        tensor: As stored.
        name: Of the dtype, a key of `ITEMSIZE`.

    Raises:
        CheckpointError: Its values do not fit the dtype.
    """
    dtype = getattr(torch, name)
    if tensor.dtype == dtype:
        return tensor
    found = f"{quoted(key)} is {dtype_name(tensor)}"
    if tensor.is_complex() and not dtype.is_complex:
        raise CheckpointError(f"{found}, the model has it as {name}")
    made = tensor.to(dtype)
    if tensor.is_floating_point() and name in MEASURABLE:
        if is_finite(_wide(tensor)) and not is_finite(_wide(made)):
            raise CheckpointError(f"{found}, with values too large for the model's {name}")
    elif not torch.equal(made.to(tensor.dtype), tensor):
        raise CheckpointError(f"{found}, with values that the model's {name} cannot hold")
    return made


def _wide(tensor: Tensor) -> Tensor:
    """In a dtype that torch compares: of eight bits it does not."""
    return tensor.float() if tensor.dtype.itemsize == 1 else tensor


def cast_notes(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """One note for each dtype that weights are stored in and the model does not compute in."""
    differ = {
        (stored, own)
        for stored, own in pairs
        if stored != own and stored in MEASURABLE and own in MEASURABLE
    }
    return [f"weights are {stored}, run as {own}" for stored, own in sorted(differ)]
