"""What a torch file holds beside its tensors: by path and kind, one entry for each plain value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from normcli.formats.meter import Meter
from normcli.formats.modules import is_module
from normcli.formats.optimizers import OPTIMIZER, is_optimizer
from normcli.formats.pickles.foreign import is_foreign
from normcli.formats.pickles.nodes import (
    ByteArrayNode,
    CalledText,
    DictNode,
    DtypeNode,
    ScriptNode,
    SetNode,
    SizeNode,
    StorageNode,
    TensorNode,
    UnreadTensor,
)
from normcli.formats.sections import LONE
from normcli.formats.spelling import key_text
from normcli.records import Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from normcli.formats.torch_content import Content

Value: TypeAlias = Any  # plain data or a node
Path: TypeAlias = tuple[str, ...]

_CONTAINERS = (DictNode, SetNode, list, tuple)


def list_leftovers(content: Content) -> tuple[Skipped, ...]:
    """Every topmost value without tensors in it, and every one that is no plain data."""
    listing = _Listing(Meter(content.budgets))
    listing.enter(content.root, ())
    return tuple(listing.listed)


class _Listing:
    def __init__(self, meter: Meter) -> None:
        self.listed: list[Skipped] = []
        self._meter = meter
        self._plain: set[int] = set()  # containers of nothing but plain data
        self._inside: set[int] = set()  # containers that the walk is in

    def enter(self, value: Value, path: Path) -> bool:
        """List what is at and below `value`, and say whether all of it is plain data."""
        self._meter.visit()
        if isinstance(value, TensorNode):
            if value.attributes:
                self._note("/".join(path) or LONE, "Python attributes of a tensor")
            return False
        special = _special(value, path, self._meter.visit)
        if special:
            self._note(*special)
            return False
        if isinstance(value, _CONTAINERS) and not isinstance(value, SizeNode):
            return self._container(value, path)
        self._note("/".join(path) or LONE, _kind(value))
        return True

    def _container(self, value: Value, path: Path) -> bool:
        if id(value) in self._inside:
            return True
        before = len(self.listed)
        self._inside.add(id(value))
        plain = id(value) in self._plain or self._all_plain(value, path)
        self._inside.discard(id(value))
        if plain and path:
            self._plain.add(id(value))
            del self.listed[before:]
            self._note("/".join(path), _kind(value))
        return plain

    def _all_plain(self, value: Value, path: Path) -> bool:
        answers = [self.enter(item, (*path, key)) for key, item in _items(value)]
        is_state_dict = isinstance(value, DictNode) and value.metadata is not None
        return all(answers) and not is_state_dict

    def _note(self, name: str, kind: str) -> None:
        self._meter.created(len(name))
        self.listed.append(Skipped(name, kind))


def _special(value: Value, path: Path, pay: Callable[[int], None]) -> tuple[str, str] | None:
    """Name and kind of what is neither a tensor nor plain data."""
    if isinstance(value, UnreadTensor):
        return "/".join(path) or LONE, value.kind
    if is_optimizer(value, path[-1] if path else "", pay):
        return "/".join((*path, "…")), OPTIMIZER
    if isinstance(value, ScriptNode) and is_module(value):
        return "/".join((*path, "…")), "TorchScript module"
    if is_foreign(value):
        return "/".join(path) or "…", f"foreign object {value.what}"
    return None


def _items(value: Value) -> Iterator[tuple[str, Value]]:
    if isinstance(value, DictNode):
        return ((key_text(key), item) for key, item in value.items.items())
    members = value.members if isinstance(value, SetNode) else value
    return ((f"[{index}]", item) for index, item in enumerate(members))


def _kind(value: Value) -> str:
    """The type as Python or torch calls it."""
    if value is None:
        return "None"
    if isinstance(value, DictNode):
        return "OrderedDict" if value.ordered else "dict"
    if isinstance(value, SetNode):
        return "frozenset" if value.frozen else "set"
    if isinstance(value, CalledText):
        return "device" if value.call.what == "torch.device" else "constant"
    return _KINDS.get(type(value), type(value).__name__)


_KINDS = {
    ByteArrayNode: "bytearray", DtypeNode: "dtype", SizeNode: "torch.Size", StorageNode: "storage",
}  # fmt: skip
