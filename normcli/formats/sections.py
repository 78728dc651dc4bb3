"""Names for the tensors of a pickle: which containers they are in, and under which key.

A container that directly holds tensors is a state dict: its path is the SECTION, the tensor's
place in it the KEY. The path joins dictionary keys and `[i]` of lists, tuples and sets with `/`.
Modules that were pickled whole and TorchScript objects are one state dict with dotted keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

from normcli.formats.meter import over_budget
from normcli.formats.modules import is_module, module_items
from normcli.formats.optimizers import OPTIMIZER, is_optimizer
from normcli.formats.pickles.nodes import (
    DictNode,
    GlobalNode,
    OpaqueNode,
    ScriptNode,
    SetNode,
    TensorNode,
    UnreadTensor,
)
from normcli.formats.spelling import key_text
from normcli.records import Skipped, full_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from normcli.formats.meter import Meter

Value: TypeAlias = Any  # plain data or a node
Path: TypeAlias = tuple[str, ...]

LONE = "tensor"  # key of a tensor that was saved without any container


@dataclass(slots=True)
class Found:
    """What a pickle holds, by name.

    Attributes:
        tensors: Section, key and node, in the order of the file.
        skipped: Optimizer state and tensors that are not read.
        metadata: Section → `_metadata`, still as a node.
        places: Foreign name → path of the first object that it makes.
        cycle: Whether a container holds itself; it is named once.
    """

    tensors: list[tuple[str, str, TensorNode]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    metadata: dict[str, Value] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    cycle: bool = False


def find_tensors(root: Value, meter: Meter) -> Found:
    """Every tensor below `root`, named.

    Raises:
        RefusedError: Nested too deep, or over budget.
    """
    walk = _Walk(meter)
    walk.enter(root, ())
    return walk.found


class _Walk:
    def __init__(self, meter: Meter) -> None:
        self.found = Found()
        self._meter = meter
        self._inside: set[int] = set()  # containers that the walk is in
        self._muted = False  # in optimizer state: only foreign objects are noted
        self._named = 0  # tensors and foreign objects seen so far
        self._plain: set[int] = set()  # containers that hold neither; not entered again
        self._passed: set[int] = set()  # containers whose values the walk has gone through

    def enter(self, value: Value, path: Path) -> None:
        """Name what is below `value`; `path` leads to it, its own key last."""
        self._meter.visit()
        self._named += isinstance(value, _NAMED)
        if isinstance(value, TensorNode):
            self._tensor(value, "/".join(path[:-1]), path[-1] if path else LONE)
        elif isinstance(value, UnreadTensor):
            self._skip("/".join(path) or LONE, value.kind)
            self._mutely(value.parts, path)
        elif isinstance(value, GlobalNode):
            self._place(value.what, path)
        elif isinstance(value, _CONTAINERS) and self._may_enter(value, path):
            before = self._named
            self._inside.add(id(value))
            self._container(value, path)
            self._inside.discard(id(value))
            if self._named == before:
                self._plain.add(id(value))

    def _may_enter(self, value: Value, path: Path) -> bool:
        if id(value) in self._plain:
            return False
        if id(value) in self._inside:
            self.found.cycle = True
            return False
        if len(path) > self._meter.budgets.depth:
            raise over_budget(f"containers nested deeper than {self._meter.budgets.depth}")
        return True

    def _container(self, value: Value, path: Path) -> None:
        if isinstance(value, OpaqueNode):
            self._place(value.what, path)
        key = path[-1] if path else ""
        self._meter.created(len(key))
        if is_optimizer(value, key, self._meter.visit):
            self._skip("/".join((*path, "…")), OPTIMIZER)
            self._mutely([value], path)
        elif is_module(value):
            self._module(value, "/".join(path), "", 0)
        else:
            self._note_metadata(value, path)
            self._pay_again(value)
            for key, item in _items(value):
                if not isinstance(item, _SCALARS):
                    self.enter(item, (*path, key))

    def _pay_again(self, container: Value) -> None:
        """Steps for every value of a container that the walk goes through once more.

        The first time is paid for by the opcodes that made the values; an alias costs none.
        """
        if id(container) in self._passed:
            self._meter.visit(len(_values(container)))
        self._passed.add(id(container))

    def _module(self, node: Value, section: str, prefix: str, depth: int) -> None:
        """A module as its state dict: dotted keys in one section."""
        if depth > self._meter.budgets.depth:
            raise over_budget(f"modules nested deeper than {self._meter.budgets.depth}")
        for key, item in module_items(node):
            self._meter.visit()
            if isinstance(item, TensorNode):
                self._tensor(item, section, prefix + key)
            elif isinstance(item, UnreadTensor):
                self._skip(full_name(section, prefix + key), item.kind)
            elif is_module(item):
                self._place_module(item, section, prefix + key)
                self._module(item, section, f"{prefix}{key}.", depth + 1)
            elif not isinstance(item, _SCALARS):
                self._meter.created(len(prefix))
                self.enter(item, (*filter(None, [section]), prefix + key))

    def _place_module(self, node: Value, section: str, key: str) -> None:
        self._meter.created(len(key))
        if isinstance(node, OpaqueNode):
            self._place(node.what, tuple(filter(None, (section.replace("/", "."), key))))

    def _place(self, what: str, path: Path) -> None:
        if what not in self.found.places:
            place = self.found.places[what] = ".".join(path)
            self._meter.created(len(place))

    def _tensor(self, node: TensorNode, section: str, key: str) -> None:
        if self._muted:
            return
        self._meter.tensor()
        self._meter.created(len(section) + len(key))
        self.found.tensors.append((section, key, node))

    def _skip(self, name: str, reason: str) -> None:
        if not self._muted:
            self._meter.tensor()
            self._meter.created(len(name))
            self.found.skipped.append(Skipped(name, reason))

    def _mutely(self, values: list[Value], path: Path) -> None:
        """Look for foreign objects only."""
        before, self._muted = self._muted, True
        for value in values:
            for key, item in _items(value):
                self.enter(item, (*path, key))
        self._muted = before

    def _note_metadata(self, value: Value, path: Path) -> None:
        if isinstance(value, DictNode) and value.metadata is not None and not self._muted:
            section = "/".join(path)
            self._meter.created(len(section))
            self.found.metadata[section] = value.metadata


_SCALARS = (str, int, float, bytes, type(None))
_NAMED = (TensorNode, UnreadTensor, GlobalNode, OpaqueNode)
_CONTAINERS = (DictNode, SetNode, OpaqueNode, ScriptNode, list, tuple)


def _items(value: Value) -> Iterator[tuple[str, Value]]:
    """The values directly in a container, each with its part of the path."""
    if isinstance(value, DictNode):
        return ((key_text(key), item) for key, item in value.items.items())
    if isinstance(value, OpaqueNode):
        return chain(_numbered(value.parts), _state_items(value.state))
    if isinstance(value, ScriptNode):
        return _state_items(value.state)
    if isinstance(value, SetNode):
        return _numbered(value.members)
    return _numbered(value) if isinstance(value, list | tuple) else iter(())


def _values(value: Value) -> Collection[Value]:
    """The same, without the names."""
    if isinstance(value, DictNode):
        return value.items
    if isinstance(value, OpaqueNode):
        return (*value.parts, *_values(value.state))
    if isinstance(value, ScriptNode):
        return _values(value.state)
    if isinstance(value, SetNode):
        return value.members
    return value if isinstance(value, list | tuple) else ()


def _numbered(values: Iterable[Value]) -> Iterator[tuple[str, Value]]:
    return ((f"[{index}]", item) for index, item in enumerate(values))


def _state_items(state: Value) -> Iterator[tuple[str, Value]]:
    """Attributes by name; a state that is no dict stands under its own word."""
    if isinstance(state, DictNode):
        return _items(state)
    return iter([("[state]", state)] if state is not None else [])
