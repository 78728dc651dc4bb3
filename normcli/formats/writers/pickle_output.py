"""The opcodes of a pickle that is written: atoms at once, and a memo of what was written."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, TypeAlias

from normcli.errors import RefusedError
from normcli.formats.pickles.foreign import is_foreign

if TYPE_CHECKING:
    from collections.abc import Callable

    from normcli.formats.pickles.nodes import GlobalNode, StorageNode

Value: TypeAlias = Any  # plain data or a node

_PYTHON_2 = {"builtins": "__builtin__"}  # modules that protocol 2 calls by their old names


class PickleOutput:
    """The bytes of one pickle of protocol 2.

    Attributes:
        storages: That were numbered, in the order of their numbers.
    """

    def __init__(self) -> None:
        self.storages: list[StorageNode] = []
        self._parts = [b"\x80\x02"]
        self._memo: dict[int, tuple[int, Value]] = {}  # with the value, so that its id stays its
        self._names: dict[str | GlobalNode, int] = {}
        self._numbers: dict[int, str] = {}
        self._puts = 0

    def finished(self) -> bytes:
        """All of it, with STOP."""
        return b"".join((*self._parts, b"."))

    def write(self, opcodes: bytes) -> None:
        """Opcodes as they are."""
        self._parts.append(opcodes)

    def atom(self, value: Value) -> bool:
        """None, a bool, an int or a float; whether the value was one."""
        encode = _ATOMS.get(type(value))
        if encode is not None:
            self._parts.append(encode(value))
        return encode is not None

    def has(self, value: Value) -> bool:
        """Whether the same object was written before."""
        return id(value) in self._memo

    def known(self, value: Value) -> bool:
        """GET where the same object was written before; whether it was."""
        known = self.has(value)
        if known:
            self._get(self._memo[id(value)][0])
        return known

    def put(self, value: Value) -> None:
        """PUT: the object on top of the stack is this one."""
        self._memo[id(value)] = (self._put(), value)

    def text(self, text: str) -> None:
        """A string, written once."""
        if text in self._names:
            self._get(self._names[text])
            return
        raw = text.encode("utf-8", "surrogatepass")
        self._parts.append(b"X" + struct.pack("<I", len(raw)) + raw)
        self._names[text] = self._put()

    def name(self, node: GlobalNode) -> None:
        """GLOBAL, written once.

        Raises:
            RefusedError: The name is foreign: nobody may import it because of this file.
        """
        if node in self._names:
            self._get(self._names[node])
            return
        if is_foreign(node):
            raise RefusedError(f"holds the foreign name {node.what}", hint="--drop-opaque")
        module = _PYTHON_2.get(node.module, node.module)
        self._parts.append(f"c{module}\n{node.name}\n".encode())
        self._names[node] = self._put()

    def number(self, storage: StorageNode) -> str:
        """Of the storage: how many were numbered before it."""
        if id(storage) not in self._numbers:
            self._numbers[id(storage)] = str(len(self.storages))
            self.storages.append(storage)
        return self._numbers[id(storage)]

    def _put(self) -> int:
        self._puts += 1
        self._parts.append(_indexed(b"q", b"r", self._puts - 1))
        return self._puts - 1

    def _get(self, index: int) -> None:
        self._parts.append(_indexed(b"h", b"j", index))


def _indexed(short: bytes, long: bytes, index: int) -> bytes:
    return short + bytes([index]) if index < 256 else long + struct.pack("<I", index)


def _integer(number: int) -> bytes:
    if 0 <= number < 256:
        return b"K" + bytes([number])
    if 0 <= number < 65536:
        return b"M" + struct.pack("<H", number)
    if -(2**31) <= number < 2**31:
        return b"J" + struct.pack("<i", number)
    nbytes = number.bit_length() // 8 + 1
    return b"\x8a" + bytes([nbytes]) + number.to_bytes(nbytes, "little", signed=True)


_ATOMS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"N",
    bool: lambda value: b"\x88" if value else b"\x89",
    int: _integer,
    float: lambda value: b"G" + struct.pack(">d", value),
}
