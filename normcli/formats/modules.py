"""Modules inside a pickle, as the state dict that they would give: TorchScript and `torch.nn`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from normcli.formats.pickles.nodes import (
    DictNode,
    OpaqueNode,
    ScriptNode,
    SetNode,
    TensorNode,
    UnreadTensor,
)
from normcli.formats.spelling import key_text

if TYPE_CHECKING:
    from collections.abc import Iterator

Value: TypeAlias = Any  # plain data or a node

# What `torch.nn.Module.__dict__` holds of a state dict, in its order.
_PARTS = ("_parameters", "_buffers", "_modules")
_TRANSIENT = "_non_persistent_buffers_set"


def is_module(value: Value) -> bool:
    """Whether it has a state dict: a TorchScript object, or a `torch.nn.Module` pickled whole."""
    if not isinstance(value, ScriptNode | OpaqueNode) or not isinstance(value.state, DictNode):
        return False
    items = value.state.items
    return isinstance(value, ScriptNode) or all(
        isinstance(items.get(part), DictNode) for part in _PARTS
    )


def module_items(module: Value) -> Iterator[tuple[str, Value]]:
    """Parameters, buffers and submodules by name; what a state dict leaves out is left out."""
    items = module.state.items
    if isinstance(module, ScriptNode):
        yield from ((key_text(key), item) for key, item in items.items())
        return
    transient = items.get(_TRANSIENT)
    left_out = transient.members if isinstance(transient, SetNode) else []
    for part in _PARTS:
        for key, item in items[part].items.items():
            if part != "_buffers" or key not in left_out:
                yield key_text(key), item


def state_dict_items(module: Value, prefix: str = "") -> Iterator[tuple[str, Value]]:
    """The state dict that it would give: tensors under dotted keys; other attributes are not."""
    for key, item in module_items(module):
        if isinstance(item, TensorNode | UnreadTensor):
            yield prefix + key, item
        elif is_module(item):
            yield from state_dict_items(item, f"{prefix}{key}.")
