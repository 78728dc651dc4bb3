"""A symbolic pickle machine: it follows the opcodes and describes what they would build.

It never imports, calls or builds anything that the file names. A name that is not in
`globals` becomes an opaque node, counted when it is read, used or not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from normcli.errors import CheckpointError
from normcli.formats.pickles.globals import CALLS, CONSTANTS, SCRIPT_CALLS, call
from normcli.formats.pickles.nodes import (
    ByteArrayNode,
    Call,
    DictNode,
    GlobalNode,
    OpaqueNode,
    ScriptNode,
    SetNode,
    StorageNode,
    TensorNode,
    UnreadTensor,
)
from normcli.formats.pickles.stack import DICT_MEMORY, ITEM_MEMORY, PickleStack, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from normcli.formats.meter import Meter
    from normcli.formats.pickles.bytes import PickleBytes

AnyTensor: TypeAlias = TensorNode | UnreadTensor
Load: TypeAlias = "Callable[[Value], StorageNode]"

_STOP = ord(".")


class PickleMachine(PickleStack):
    """One pickle, from PROTO to STOP.

    Args:
        stream: The bytes; after `run` they stand behind STOP.
        meter: Pays for what is made.
        load: Persistent id → storage.
        named: Foreign names and how often each one is read, counted on.
        script: Whether this is a TorchScript archive, whose classes are not foreign.
        exact: Whether tensors remember the call that builds them, so that they can be written.
    """

    def __init__(
        self,
        stream: PickleBytes,
        meter: Meter,
        load: Load,
        named: dict[str, int],
        *,
        script: bool = False,
        exact: bool = False,
    ) -> None:
        super().__init__(stream, meter)
        self.named = named
        self._load = load
        self._script = script
        self._exact = exact

    def run(self) -> Value:
        """What the pickle describes.

        Raises:
            CheckpointError: It is malformed.
            RefusedError: It is over budget.
        """
        byte, meter = self.stream.byte, self.meter
        while (code := byte()) != _STOP:
            handler = OPCODES.get(code)
            if handler is None:
                raise CheckpointError(
                    f"its pickle holds opcode 0x{code:02x} {self.place()}, "
                    "which torch does not write"
                )
            meter.opcodes_left -= 1
            if meter.opcodes_left < 0:
                raise meter.too_many_opcodes()
            handler(self)
        value = self.pop()
        if self.stack or self.marked:
            raise CheckpointError("its pickle leaves values on the stack")
        return value

    def frozen_set(self) -> None:
        """FROZENSET."""
        members = self.pop_mark()
        self.push(SetNode(members, frozen=True))

    def name_global(self, module: str, name: str) -> None:
        """GLOBAL: a known name, or one that is foreign and counted."""
        key = (module, name)
        if key in CONSTANTS:
            self.push(CONSTANTS[key])
            return
        node = GlobalNode(module, name)
        known = key in CALLS or (self._script and _is_script(node))
        if not known:
            self._count(node)
        self.push(node)

    def _count(self, node: GlobalNode) -> None:
        self.meter.memory(400)
        self.named[node.what] = self.named.get(node.what, 0) + 1

    def stack_global(self) -> None:
        """STACK_GLOBAL."""
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise CheckpointError("its pickle names a global by something that is no string")
        self.name_global(module, name)

    def inst(self) -> None:
        """INST."""
        module, name = self.stream.line(), self.stream.line()
        args = tuple(self.pop_mark())
        self.name_global(module, name)
        self.push(self._called(self.pop(), args))

    def obj(self) -> None:
        """OBJ."""
        values = self.pop_mark()
        if not values:
            raise CheckpointError(f"its pickle builds an object of no class {self.place()}")
        self.push(self._called(values[0], tuple(values[1:])))

    def reduce(self) -> None:
        """REDUCE and NEWOBJ."""
        args = self.pop()
        if not isinstance(args, tuple):
            raise CheckpointError(f"its pickle calls with arguments in no tuple {self.place()}")
        self.push(self._called(self.pop(), args))

    def new_with_keywords(self) -> None:
        """NEWOBJ_EX."""
        keywords = self.pop()
        if not isinstance(keywords, DictNode):
            raise CheckpointError(f"its pickle calls with keywords in no dict {self.place()}")
        self.reduce()
        made = self.top()
        if isinstance(made, OpaqueNode):
            made.parts.append(keywords)

    def _called(self, function: Value, args: tuple[Value, ...]) -> Value:
        self.meter.memory(DICT_MEMORY + ITEM_MEMORY * len(args))
        if isinstance(function, OpaqueNode):
            return OpaqueNode(function.what, [function, *args])
        if not isinstance(function, GlobalNode):
            raise CheckpointError(f"its pickle calls what is no function {self.place()}")
        key = (function.module, function.name)
        if self._script and key in SCRIPT_CALLS and args:
            return SCRIPT_CALLS[key](args)
        if self._script and _is_script(function):
            return ScriptNode(function.what)
        if key not in CALLS:
            if key in CONSTANTS:  # known as a name, but nothing that torch calls
                self._count(function)
            return OpaqueNode(function.what, list(args))
        self.meter.memory(sum(map(_copy_memory, args)))
        made = call(function, args)
        if isinstance(made, bytes):
            self.meter.created(len(made))
        if self._exact and isinstance(made, TensorNode | UnreadTensor):
            return _remembering(made, Call(function, args))
        return made

    def build(self) -> None:
        """BUILD: the state of a foreign object, or `_metadata` of a state dict."""
        state, target = self.pop(), self.top()
        if isinstance(target, OpaqueNode | ScriptNode):
            target.state = state
        elif isinstance(target, DictNode) and _is_metadata(state):
            target.metadata = state.items["_metadata"]
        else:
            kind = "tensor" if isinstance(target, TensorNode) else "value"
            raise CheckpointError(f"its pickle gives a {kind} a state that torch does not write")

    def persistent(self) -> None:
        """BINPERSID."""
        self.push(self._load(self.pop()))


def _remembering(tensor: AnyTensor, call: Call) -> AnyTensor:
    """The tensor with its call; what only wraps a tensor becomes a node of its own."""
    if tensor.call is not None:
        return replace(tensor, call=call)
    tensor.call = call
    return tensor


def _copy_memory(value: Value) -> int:
    """Bytes of a copy: one argument, taken from the memo, may be copied by every call."""
    if isinstance(value, list | tuple):
        return 2 * ITEM_MEMORY * len(value)
    return len(value) if isinstance(value, str | bytes) else 0


def _is_script(node: GlobalNode) -> bool:
    key = (node.module, node.name)
    return key in SCRIPT_CALLS or node.module.partition(".")[0] == "__torch__"


def _is_metadata(state: Value) -> bool:
    return isinstance(state, DictNode) and list(state.items) == ["_metadata"]


def _number(machine: PickleMachine, nbytes: int, *, signed: bool = False) -> int:
    return int.from_bytes(machine.stream.take(nbytes), "little", signed=signed)


# What torch.save and torch.jit.save write with protocols 2 to 5, and Python 2's strings.
OPCODES: dict[int, Callable[[PickleMachine], None]] = {
    ord(code): handler
    for code, handler in {
        "\x80": PickleMachine.proto,
        "\x95": PickleMachine.frame,
        "(": PickleMachine.mark,
        "0": PickleMachine.pop_one,
        "1": PickleMachine.pop_marked,
        "2": PickleMachine.dup,
        "q": lambda m: m.put(_number(m, 1)),
        "r": lambda m: m.put(_number(m, 4)),
        "\x94": PickleMachine.memoize,
        "h": lambda m: m.get(_number(m, 1)),
        "j": lambda m: m.get(_number(m, 4)),
        "N": lambda m: m.push(None),
        "\x88": lambda m: m.push(True),
        "\x89": lambda m: m.push(False),
        "K": lambda m: m.push(_number(m, 1)),
        "M": lambda m: m.push(_number(m, 2)),
        "J": lambda m: m.push(_number(m, 4, signed=True)),
        "\x8a": PickleMachine.long_integer,
        "G": PickleMachine.binary_float,
        "X": lambda m: m.text(_number(m, 4)),
        "\x8c": lambda m: m.text(_number(m, 1)),
        "\x8d": lambda m: m.text(_number(m, 8)),
        "T": lambda m: m.text(_number(m, 4)),
        "U": lambda m: m.text(_number(m, 1)),
        "B": lambda m: m.push(m.raw(_number(m, 4))),
        "C": lambda m: m.push(m.raw(_number(m, 1))),
        "\x8e": lambda m: m.push(m.raw(_number(m, 8))),
        "\x96": lambda m: m.push(ByteArrayNode(m.raw(_number(m, 8)))),
        ")": lambda m: m.push(()),
        "\x85": lambda m: m.tuple_of(1),
        "\x86": lambda m: m.tuple_of(2),
        "\x87": lambda m: m.tuple_of(3),
        "t": PickleMachine.tuple_from_mark,
        "]": lambda m: m.push([]),
        "l": PickleMachine.list_from_mark,
        "a": PickleMachine.append_one,
        "e": lambda m: m.append(m.pop_mark()),
        "}": PickleMachine.empty_dict,
        "d": PickleMachine.dict_of,
        "s": PickleMachine.set_item,
        "u": lambda m: m.add_items(m.pop_mark()),
        "\x8f": lambda m: m.push(SetNode()),
        "\x90": PickleMachine.add,
        "\x91": PickleMachine.frozen_set,
        "c": lambda m: m.name_global(m.stream.line(), m.stream.line()),
        "\x93": PickleMachine.stack_global,
        "i": PickleMachine.inst,
        "o": PickleMachine.obj,
        "R": PickleMachine.reduce,
        "\x81": PickleMachine.reduce,
        "\x92": PickleMachine.new_with_keywords,
        "b": PickleMachine.build,
        "Q": PickleMachine.persistent,
    }.items()
}
