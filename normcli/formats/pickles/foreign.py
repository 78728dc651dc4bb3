"""What of a pickle cannot be written back: names that nobody here knows the meaning of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from normcli.formats.pickles.globals import CALLS, CONSTANTS
from normcli.formats.pickles.nodes import (
    Call,
    DictNode,
    GlobalNode,
    OpaqueNode,
    ScriptNode,
    SetNode,
    TensorNode,
    UnreadTensor,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

Value: TypeAlias = Any  # plain data or a node

_SCALARS = (str, int, float, bytes, type(None))


def is_foreign(value: Value) -> bool:
    """Whether the value itself is an object, or a name, that is not understood."""
    if isinstance(value, GlobalNode):
        key = (value.module, value.name)
        return key not in CALLS and key not in CONSTANTS
    return isinstance(value, OpaqueNode | ScriptNode)


def foreign_inside(value: Value) -> str:
    """The first foreign name at or below `value`, calls of tensors included; empty if none.

    Walks without recursion: arguments of a call may be nested deeper than containers.
    """
    left = [value]
    seen: set[int] = set()
    while left:
        value = left.pop()
        if isinstance(value, _SCALARS) or id(value) in seen:
            continue
        seen.add(id(value))
        if is_foreign(value):
            return str(value.what)
        left.extend(_parts(value))
    return ""


def _parts(value: Value) -> Iterable[Value]:
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, DictNode):
        return [*value.items.values(), value.metadata]
    if isinstance(value, SetNode):
        return value.members
    if isinstance(value, TensorNode | UnreadTensor):
        return [value.call]
    return [value.function, *value.args] if isinstance(value, Call) else ()
