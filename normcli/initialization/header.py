"""The state dict of a model as a header: what `reparam.weights` reads of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from normcli.records import ITEMSIZE, TensorRef

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn


def header_of(
    model: nn.Module,
) -> tuple[Mapping[str, TensorRef], Mapping[str, Mapping[str, Any]]]:
    """(key → header line, `_metadata`) of the tensors in a model's state dict, section ''."""
    state = model.state_dict()
    header = {key: _line(key, value) for key, value in state.items() if _is_known(value)}
    return header, {"": getattr(state, "_metadata", {})}


def dtype_name(tensor: Tensor) -> str:
    """Torch's name without `torch.`."""
    return str(tensor.dtype).removeprefix("torch.")


def _is_known(value: object) -> bool:
    return isinstance(value, Tensor) and dtype_name(value) in ITEMSIZE


def _line(key: str, tensor: Tensor) -> TensorRef:
    return TensorRef("", key, tuple(tensor.shape), dtype_name(tensor), tensor.nbytes)
