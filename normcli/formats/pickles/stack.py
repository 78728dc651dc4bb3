"""The stack of the symbolic pickle machine: marks, memo, plain data and containers."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, TypeAlias

from normcli.errors import CheckpointError
from normcli.formats.pickles.bytes import decoded
from normcli.formats.pickles.nodes import DictNode, OpaqueNode, SetNode
from normcli.formats.spelling import quoted

if TYPE_CHECKING:
    from normcli.formats.meter import Meter
    from normcli.formats.pickles.bytes import PickleBytes

Value: TypeAlias = Any  # plain data or a node

DICT_MEMORY = 200  # bytes of an empty node with its dict
ITEM_MEMORY = 60  # bytes of a place in a dict; more than one in a list
_PART_MEMORY = 200  # of a part of a tuple as a key: more than it takes, since each is checked
_SCALARS = (str, int, float, bool, type(None), bytes)


class PickleStack:
    """What opcodes without a name do. A method is an opcode where its name says so.

    Args:
        stream: The bytes of the pickle.
        meter: Pays for what is made.
    """

    def __init__(self, stream: PickleBytes, meter: Meter) -> None:
        self.stream = stream
        self.meter = meter
        self.stack: list[Value] = []
        self.marked: list[list[Value]] = []  # the stacks below each MARK
        self._memo: dict[int, Value] = {}

    def pop(self) -> Value:
        """Take the top value."""
        if not self.stack:
            raise CheckpointError(f"its pickle takes from an empty stack {self.place()}")
        return self.stack.pop()

    def top(self) -> Value:
        """The top value, left where it is."""
        if not self.stack:
            raise CheckpointError(f"its pickle looks at an empty stack {self.place()}")
        return self.stack[-1]

    def push(self, value: Value) -> None:
        """Put a value on top."""
        self.stack.append(value)

    def pop_mark(self) -> list[Value]:
        """MARK's counterpart: the values above the last mark."""
        if not self.marked:
            raise CheckpointError(f"its pickle lacks a MARK {self.place()}")
        values, self.stack = self.stack, self.marked.pop()
        return values

    def place(self) -> str:
        """Where the opcode stands, for a message."""
        return f"at byte {self.stream.position - 1}"

    # Opcodes: the frame, the stack, the memo

    def proto(self) -> None:
        """PROTO."""
        version = self.stream.byte()
        if not 2 <= version <= 5:
            raise CheckpointError(f"its pickle has protocol {version}, expected 2 to 5")

    def frame(self) -> None:
        """FRAME: its length is checked, then ignored."""
        length = int.from_bytes(self.stream.take(8), "little")
        if length > self.stream.left:
            raise CheckpointError(f"its pickle has a frame of {length} bytes, past its end")

    def mark(self) -> None:
        """MARK."""
        self.marked.append(self.stack)
        self.stack = []

    def pop_one(self) -> None:
        """POP: a value, or a mark with nothing above it."""
        if self.stack:
            self.stack.pop()
        else:
            self.pop_mark()

    def pop_marked(self) -> None:
        """POP_MARK."""
        self.pop_mark()

    def dup(self) -> None:
        """DUP."""
        self.push(self.top())

    def put(self, index: int) -> None:
        """PUT in its spellings."""
        self._memo[index] = self.top()
        self.meter.memory(48)

    def get(self, index: int) -> None:
        """GET in its spellings."""
        if index not in self._memo:
            raise CheckpointError(f"its pickle asks for memo {index}, which nothing was put in")
        self.push(self._memo[index])

    def memoize(self) -> None:
        """MEMOIZE: PUT under the next free number."""
        self.put(len(self._memo))

    # Plain data

    def text(self, nbytes: int) -> None:
        """UNICODE in its spellings."""
        self.push(decoded(self.raw(nbytes)))

    def raw(self, nbytes: int) -> bytes:
        """The bytes of a string, paid for."""
        if nbytes > self.stream.left:
            raise CheckpointError(f"its pickle holds a string of {nbytes} bytes, past its end")
        self.meter.created(nbytes)
        return self.stream.take(nbytes)

    def long_integer(self) -> None:
        """LONG1."""
        raw = self.raw(self.stream.byte())
        self.push(int.from_bytes(raw, "little", signed=True))

    def binary_float(self) -> None:
        """BINFLOAT."""
        self.push(struct.unpack(">d", self.stream.take(8))[0])

    def tuple_from_mark(self) -> None:
        """TUPLE."""
        values = tuple(self.pop_mark())
        self.push(values)

    def list_from_mark(self) -> None:
        """LIST."""
        values = self.pop_mark()
        self.push(values)

    def tuple_of(self, count: int) -> None:
        """TUPLE1 to TUPLE3."""
        if len(self.stack) < count:
            raise CheckpointError(f"its pickle takes from an empty stack {self.place()}")
        values = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.push(values)

    # Containers

    def empty_dict(self) -> None:
        """EMPTY_DICT."""
        self.meter.memory(DICT_MEMORY)
        self.push(DictNode())

    def dict_of(self) -> None:
        """DICT."""
        values = self.pop_mark()
        self.empty_dict()
        self.add_items(values)

    def set_item(self) -> None:
        """SETITEM."""
        value = self.pop()
        self.add_items([self.pop(), value])

    def add_items(self, values: list[Value]) -> None:
        """SETITEMS: keys and values in turn, into the dict on top."""
        target = self.top()
        if len(values) % 2:
            raise CheckpointError(f"its pickle sets a key without a value {self.place()}")
        if isinstance(target, OpaqueNode):
            target.parts.extend(values)
            return
        if not isinstance(target, DictNode):
            raise CheckpointError(f"its pickle sets a key of what is no dict {self.place()}")
        self.meter.memory(len(values) * ITEM_MEMORY // 2)
        for key, value in zip(values[::2], values[1::2], strict=True):
            self._check_key(key)
            if key in target.items:
                raise CheckpointError(f"its pickle sets the key {quoted(key)} of a dict twice")
            target.items[key] = value

    def _check_key(self, key: Value) -> None:
        parts = key if isinstance(key, tuple) else (key,)
        if parts is key:
            self.meter.tuple_key()
            self.meter.memory(_PART_MEMORY * len(key))
        for part in parts:
            if isinstance(part, bytes) or (parts is key and isinstance(part, str)):
                self.meter.created(len(part))  # a name spells it out
            if not isinstance(part, _SCALARS):
                raise CheckpointError("its pickle has a dictionary key that is no plain scalar")
            if isinstance(part, int) and part.bit_length() > 64:
                raise CheckpointError("its pickle has a dictionary key of more than 64 bits")

    def append(self, values: list[Value]) -> None:
        """APPENDS, to the list on top."""
        target = self.top()
        if isinstance(target, OpaqueNode):
            target.parts.extend(values)
        elif isinstance(target, list):
            target.extend(values)
        else:
            raise CheckpointError(f"its pickle appends to what is no list {self.place()}")

    def append_one(self) -> None:
        """APPEND."""
        self.append([self.pop()])

    def add(self) -> None:
        """ADDITEMS."""
        values = self.pop_mark()
        target = self.top()
        if not isinstance(target, SetNode):
            raise CheckpointError(f"its pickle adds to what is no set {self.place()}")
        target.members.extend(values)
