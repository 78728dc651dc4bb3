"""The few names in a pickle that are understood, and what a call of each one describes.

To interpret one more: a function from the call's arguments to a node, and a line in `CALLS`.
Nothing is ever imported: a name that is not listed stays an opaque node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from normcli.errors import CheckpointError
from normcli.formats.pickles.nodes import (
    ByteArrayNode,
    Call,
    CalledText,
    DictNode,
    DtypeNode,
    GlobalNode,
    SetNode,
    SizeNode,
    StorageType,
)
from normcli.formats.pickles.tensors import (
    rebuild_from_type,
    rebuild_parameter,
    rebuild_parameter_with_state,
    rebuild_tensor,
    rebuild_tensor_v3,
    unread,
)
from normcli.records import ITEMSIZE

if TYPE_CHECKING:
    from collections.abc import Callable

Args: TypeAlias = tuple[Any, ...]

# Bytes of one element of a storage; quantized ones are measured to check the file, never read.
STORAGE_ITEMSIZE = {
    **ITEMSIZE, "qint8": 1, "quint8": 1, "qint32": 4, "quint4x2": 1, "quint2x4": 1, "": 1,
}  # fmt: skip

_STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16", "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64", "LongStorage": "int64", "IntStorage": "int32",
    "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool",
    "QInt8Storage": "qint8", "QUInt8Storage": "quint8", "QInt32Storage": "qint32",
    "QUInt4x2Storage": "quint4x2", "QUInt2x4Storage": "quint2x4", "UntypedStorage": "",
}  # fmt: skip

# Dtype of a storage → the class that a pickle names for it.
STORAGE_CLASSES = {
    **{dtype: GlobalNode("torch", name) for name, dtype in _STORAGES.items() if dtype},
    "": GlobalNode("torch.storage", "UntypedStorage"),
}

_OTHER_DTYPES = (
    "qint8", "quint8", "qint32", "quint4x2", "quint2x4",
    "bits1x8", "bits2x4", "bits4x2", "bits8", "bits16",
    *(f"int{n}" for n in range(1, 8)), *(f"uint{n}" for n in range(1, 8)),
)  # fmt: skip

_QSCHEMES = (
    "per_tensor_affine", "per_channel_affine", "per_tensor_symmetric", "per_channel_symmetric",
    "per_channel_affine_float_qparams",
)  # fmt: skip

CONSTANTS: dict[tuple[str, str], Any] = {
    **{("torch", name): DtypeNode(name) for name in (*ITEMSIZE, *_OTHER_DTYPES)},
    **{("torch", name): StorageType(dtype) for name, dtype in _STORAGES.items()},
    **{("torch", name): CalledText(name, GlobalNode("torch", name)) for name in _QSCHEMES},
    ("torch.storage", "UntypedStorage"): StorageType(""),
    ("torch", "Tensor"): GlobalNode("torch", "Tensor"),
    ("torch.nn.parameter", "Parameter"): GlobalNode("torch.nn.parameter", "Parameter"),
    ("torch.nn.parameter", "Buffer"): GlobalNode("torch.nn.parameter", "Buffer"),
}


def call(function: GlobalNode, args: Args) -> Any:  # noqa: ANN401 - a node or plain data
    """What an interpreted function gives.

    Raises:
        CheckpointError: The arguments are not those that torch writes.
    """
    try:
        return CALLS[function.module, function.name](args)
    except (TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"its pickle calls {function.what} with arguments that torch does not write"
        ) from error


def _ordered_dict(args: Args) -> DictNode:
    """`OrderedDict()`, or with pairs as Python 2 wrote it."""
    pairs = args[0] if args else []
    if len(args) > 1 or not isinstance(pairs, list):
        raise TypeError
    items = {key: value for key, value in map(_pair, pairs)}  # noqa: C416 - checks arity
    if len(items) != len(pairs):
        raise CheckpointError("its pickle makes an OrderedDict with a key twice")
    return DictNode(items, ordered=True)


def _pair(pair: Any) -> tuple[Any, Any]:  # noqa: ANN401 - a value of the file
    key, value = pair
    if not isinstance(key, str):
        raise TypeError
    return key, value


def _set(args: Args, *, frozen: bool = False) -> SetNode:
    members = args[0] if args else []
    if len(args) > 1 or not isinstance(members, list | tuple):
        raise TypeError
    return SetNode(list(members), frozen)


def _frozen_set(args: Args) -> SetNode:
    return _set(args, frozen=True)


def _size(args: Args) -> SizeNode:
    (sizes,) = args
    if not isinstance(sizes, list | tuple):
        raise TypeError
    return SizeNode(sizes)


def _device(args: Args) -> CalledText:
    if not 1 <= len(args) <= 2:
        raise TypeError
    text = ":".join(str(part) for part in args if isinstance(part, str | int))
    return CalledText(text, Call(GlobalNode("torch", "device"), args))


def _bytes(args: Args) -> bytes:
    """`bytes()`: how protocol 2 spells no bytes at all."""
    if args:
        raise TypeError
    return b""


def _bytearray(args: Args) -> ByteArrayNode:
    """`bytearray(b"…")`, or `bytearray(text, 'latin-1')`: how protocol 2 spells it."""
    raw = args[0] if len(args) == 1 else _encode(args) if args else b""
    if type(raw) is not bytes:
        raise TypeError
    return ByteArrayNode(raw)


def _first(args: Args) -> Any:  # noqa: ANN401 - a value of the file
    return args[0]


def _encode(args: Args) -> bytes:
    """`_codecs.encode(text, 'latin1')`: how protocol 2 spells bytes."""
    text, encoding = args
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise TypeError
    return text.encode("latin-1")


def _layout(args: Args) -> CalledText:
    (layout,) = args
    if not isinstance(layout, str):
        raise TypeError
    return CalledText(layout, Call(GlobalNode("torch.serialization", "_get_layout"), args))


CALLS: dict[tuple[str, str], Callable[[Args], Any]] = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("builtins", "set"): _set,
    ("builtins", "frozenset"): _frozen_set,
    ("__builtin__", "set"): _set,
    ("__builtin__", "frozenset"): _frozen_set,
    ("builtins", "bytes"): _bytes,
    ("__builtin__", "bytes"): _bytes,
    ("builtins", "bytearray"): _bytearray,
    ("__builtin__", "bytearray"): _bytearray,
    ("_codecs", "encode"): _encode,
    ("torch", "Size"): _size,
    ("torch", "device"): _device,
    ("torch.serialization", "_get_layout"): _layout,
    ("torch._utils", "_rebuild_tensor"): rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v3"): rebuild_tensor_v3,
    ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): rebuild_parameter_with_state,
    ("torch._tensor", "_rebuild_from_type_v2"): lambda args: rebuild_from_type(args, call),
    ("torch._utils", "_rebuild_sparse_tensor"): unread("sparse tensor"),
    ("torch._utils", "_rebuild_sparse_csr_tensor"): unread("sparse tensor"),
    ("torch._utils", "_rebuild_qtensor"): unread("quantized tensor"),
    ("torch._utils", "_rebuild_nested_tensor"): unread("nested tensor"),
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): unread("meta tensor"),
    ("torch._utils", "_rebuild_wrapper_subclass"): unread("wrapper tensor"),
    ("torch._utils", "_rebuild_device_tensor_from_numpy"): unread("device tensor"),
    ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"): unread("device tensor"),
    ("torch._utils", "_rebuild_xla_tensor"): unread("device tensor"),
    ("torch.nested._internal.nested_tensor", "_rebuild_njt"): unread("nested tensor"),
    ("torch.nn.parameter", "UninitializedParameter"): unread("uninitialized parameter"),
    ("torch.nn.parameter", "UninitializedBuffer"): unread("uninitialized buffer"),
}

# In TorchScript archives only: typed lists, and a value with its type written beside it.
SCRIPT_CALLS = {
    ("torch.jit._pickle", name): _first
    for name in (
        "build_intlist", "build_doublelist", "build_boollist", "build_tensorlist",
        "restore_type_tag",
    )
}  # fmt: skip
