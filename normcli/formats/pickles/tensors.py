"""Calls that rebuild a tensor, as nodes: torch's own functions, read from their arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from normcli.formats.pickles.nodes import (
    DictNode,
    DtypeNode,
    GlobalNode,
    OpaqueNode,
    StorageNode,
    TensorNode,
    UnreadTensor,
)
from normcli.records import ITEMSIZE

if TYPE_CHECKING:
    from collections.abc import Callable

Args: TypeAlias = tuple[Any, ...]
AnyTensor: TypeAlias = TensorNode | UnreadTensor

_OWN = frozenset({"persistent", "_is_buffer", "_is_param"})  # attributes that torch itself sets
_LONGEST = 1000  # sizes or strides: beyond what any tensor has, and a call goes through all of them
_FLAGS = ("conj", "neg")  # bits that change what the stored numbers mean


def rebuild_tensor(args: Args) -> AnyTensor:
    """`(storage, offset, size, stride)`, then gradient, hooks and flags that may be left out."""
    storage, start, shape, stride, *rest = args
    if len(rest) > 3:
        raise TypeError
    flags = rest[2] if len(rest) > 2 else None
    return _tensor(storage, start, shape, stride, dtype=storage.dtype, flags=flags)


def rebuild_tensor_v3(args: Args) -> AnyTensor:
    """The same with a dtype before the metadata, over untyped bytes."""
    storage, start, shape, stride, _, _, dtype, *rest = args
    if not isinstance(dtype, DtypeNode) or len(rest) > 1:
        raise TypeError
    flags = rest[0] if rest else None
    tensor = _tensor(storage, start, shape, stride, dtype=dtype.name, flags=flags)
    storage.viewed = dtype.name
    return tensor


def rebuild_parameter(args: Args) -> AnyTensor:
    """`(tensor, requires_grad, hooks)`."""
    data, _, _ = args
    return _checked(data)


def rebuild_parameter_with_state(args: Args) -> AnyTensor:
    """`(tensor, requires_grad, hooks, state)`; the state is Python attributes, ignored."""
    data, _, _, state = args
    return _marked(_checked(data), state)


def rebuild_from_type(args: Args, call: Callable[[GlobalNode, Args], Any]) -> object:
    """`(function, type, args, state)`: the function's tensor; type and state are ignored.

    A foreign function stays opaque: nobody knows what it would make of the arguments.
    """
    function, _, inner, state = args
    if not isinstance(function, GlobalNode) or not isinstance(inner, tuple):
        raise TypeError
    if (function.module, function.name) in _REBUILDERS:
        return _marked(_checked(call(function, inner)), state)
    return OpaqueNode(function.what, list(inner), state)


_REBUILDERS = frozenset(
    [
        *(("torch._utils", f"_rebuild_{name}") for name in (
            "tensor", "tensor_v2", "tensor_v3", "parameter", "parameter_with_state",
            "sparse_tensor", "sparse_csr_tensor", "qtensor", "nested_tensor",
            "meta_tensor_no_storage", "wrapper_subclass", "xla_tensor",
            "device_tensor_from_numpy", "device_tensor_from_cpu_tensor",
        )),
        ("torch.nested._internal.nested_tensor", "_rebuild_njt"),
    ]
)  # fmt: skip


def unread(kind: str) -> Callable[[Args], UnreadTensor]:
    """A call that makes a tensor of a kind that is not read."""
    return lambda args: UnreadTensor(kind, list(args))


def _tensor(
    storage: object, start: object, shape: object, stride: object, *, dtype: str, flags: object
) -> AnyTensor:
    if not isinstance(storage, StorageNode) or type(start) is not int:
        raise TypeError
    sizes, steps = _integers(shape), _integers(stride)
    raised = _raised(flags)
    if raised:
        return UnreadTensor(f"{raised} view", [])
    if dtype not in ITEMSIZE:
        return UnreadTensor(f"tensor of dtype {dtype}" if dtype else "tensor without dtype", [])
    return TensorNode(storage, start, sizes, steps, dtype)


def _integers(value: object) -> tuple[int, ...]:
    if not isinstance(value, tuple | list) or len(value) > _LONGEST:
        raise TypeError
    if any(type(number) is not int for number in value):
        raise TypeError
    return tuple(value)


def _raised(flags: object) -> str:
    """The first flag that is set, or empty."""
    if flags is None:
        return ""
    if not isinstance(flags, DictNode) or any(key not in _FLAGS for key in flags.items):
        raise TypeError
    return next((key for key in _FLAGS if flags.items.get(key)), "")


def _checked(value: object) -> AnyTensor:
    if not isinstance(value, TensorNode | UnreadTensor):
        raise TypeError
    return value


def _marked(tensor: AnyTensor, state: object) -> AnyTensor:
    """The tensor, and that attributes hang on it where the state holds any of the user's."""
    quiet = state is None or (isinstance(state, DictNode) and _OWN.issuperset(state.items))
    if isinstance(tensor, TensorNode) and not quiet:
        tensor.attributes = True
    return tensor
