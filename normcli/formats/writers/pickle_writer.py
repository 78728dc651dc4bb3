"""Nodes back into a pickle, in the protocol 2 that torch.save writes and `weights_only` reads."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeAlias

from normcli.errors import RefusedError
from normcli.formats.pickles.foreign import is_foreign
from normcli.formats.pickles.globals import STORAGE_CLASSES
from normcli.formats.pickles.nodes import (
    ByteArrayNode,
    Call,
    CalledText,
    DictNode,
    DtypeNode,
    GlobalNode,
    SetNode,
    SizeNode,
    StorageNode,
    StorageType,
    TensorNode,
    UnreadTensor,
)
from normcli.formats.writers.pickle_output import PickleOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Value: TypeAlias = Any  # plain data or a node
Steps: TypeAlias = "Iterator[Value]"  # yields what has to be saved before it goes on

_BATCH = 1000  # items between a MARK and its APPENDS or SETITEMS, as Python's pickler has it
_END = object()
_LATIN = "latin1"


def pickled(root: Value) -> tuple[bytes, list[StorageNode]]:
    """A pickle of a tree, and the storages that it names, in the order of their numbers.

    What is one object in the tree is one object again, containers that hold themselves too. There
    is no recursion: a tree may be nested deeper than Python's stack.

    Raises:
        RefusedError: A foreign object is in it.
    """
    out = PickleOutput()
    stack: list[Steps] = [iter((root,))]
    while stack:
        value = next(stack[-1], _END)
        if value is _END:
            stack.pop()
        elif not out.atom(value) and not out.known(value):
            stack.append(_steps(out, value))
    return out.finished(), out.storages


def _steps(out: PickleOutput, value: Value) -> Steps:
    kind = type(value)
    if kind in _STEPS:
        return _STEPS[kind](out, value)
    if isinstance(value, StorageNode):
        return _storage(out, value)
    what = value.what if is_foreign(value) else kind.__name__
    raise RefusedError(f"holds {what}, which cannot be written back", hint="--drop-opaque")


def _text(out: PickleOutput, value: str) -> Steps:
    out.text(value)
    return iter(())


def _name(out: PickleOutput, value: GlobalNode) -> Steps:
    out.name(value)
    return iter(())


def _dtype(out: PickleOutput, value: DtypeNode) -> Steps:
    return _name(out, GlobalNode("torch", value.name))


def _storage_type(out: PickleOutput, value: StorageType) -> Steps:
    return _name(out, STORAGE_CLASSES[value.dtype])


def _storage(out: PickleOutput, value: StorageNode) -> Steps:
    """A persistent id. It says `cpu` wherever the storage was: a tag of CUDA would not load."""
    out.write(b"(")
    yield from ("storage", STORAGE_CLASSES[value.dtype], out.number(value), "cpu", value.numel)
    out.write(b"tQ")


def _list(out: PickleOutput, value: list[Value]) -> Steps:
    out.write(b"]")
    out.put(value)
    yield from _batches(out, ((item,) for item in value), b"a", b"e")


def _dict(out: PickleOutput, value: DictNode) -> Steps:
    if value.ordered or value.metadata is not None:  # a dict has no attributes
        out.name(GlobalNode("collections", "OrderedDict"))
        out.write(b")R")
    else:
        out.write(b"}")
    out.put(value)
    yield from _batches(out, iter(value.items.items()), b"s", b"u")
    if value.metadata is not None:
        out.write(b"}")
        yield from ("_metadata", value.metadata)
        out.write(b"sb")


def _batches(
    out: PickleOutput, items: Iterator[tuple[Value, ...]], one: bytes, many: bytes
) -> Steps:
    while batch := list(islice(items, _BATCH)):
        if len(batch) > 1:
            out.write(b"(")
        yield from chain.from_iterable(batch)
        out.write(many if len(batch) > 1 else one)


def _tuple(out: PickleOutput, value: tuple[Value, ...]) -> Steps:
    marked = len(value) > 3
    if marked:
        out.write(b"(")
    yield from value
    if value and _replaced(out, value, b"1" if marked else b"0" * len(value)):
        return
    out.write(b"t" if marked else (b")", b"\x85", b"\x86", b"\x87")[len(value)])
    if value:
        out.put(value)


def _replaced(out: PickleOutput, value: Value, drop: bytes) -> bool:
    """Whether the value was written while its own parts were: then that one is taken."""
    if not out.has(value):
        return False
    out.write(drop)
    return out.known(value)


def _call(out: PickleOutput, value: Value, call: Call) -> Steps:
    out.name(call.function)
    yield call.args
    out.write(b"R")
    if not _replaced(out, value, b"0"):
        out.put(value)


def _remembered(out: PickleOutput, value: TensorNode | UnreadTensor | CalledText) -> Steps:
    if isinstance(value.call, Call):
        return _call(out, value, value.call)
    if isinstance(value.call, GlobalNode):
        return _name(out, value.call)
    raise TypeError(value)  # the tree was parsed without calls


def _set(out: PickleOutput, value: SetNode) -> Steps:
    function = GlobalNode("builtins", "frozenset" if value.frozen else "set")
    return _call(out, value, Call(function, (list(value.members),)))


def _size(out: PickleOutput, value: SizeNode) -> Steps:
    return _call(out, value, Call(GlobalNode("torch", "Size"), (tuple(value),)))


def _bytes(out: PickleOutput, value: bytes) -> Steps:
    function = GlobalNode("_codecs", "encode")
    return _call(out, value, Call(function, (value.decode(_LATIN), _LATIN)))


def _bytearray(out: PickleOutput, value: ByteArrayNode) -> Steps:
    function = GlobalNode("builtins", "bytearray")
    return _call(out, value, Call(function, (bytes(value),)))


_STEPS: dict[type, Callable[[PickleOutput, Any], Steps]] = {
    str: _text,
    GlobalNode: _name,
    DtypeNode: _dtype,
    StorageType: _storage_type,
    list: _list,
    DictNode: _dict,
    tuple: _tuple,
    TensorNode: _remembered,
    UnreadTensor: _remembered,
    CalledText: _remembered,
    SetNode: _set,
    SizeNode: _size,
    bytes: _bytes,
    ByteArrayNode: _bytearray,
}
