"""The tree of a torch file as a draft wants it; what does not change stays the same node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from normcli.errors import CheckpointError, RefusedError
from normcli.formats.modules import is_module, state_dict_items
from normcli.formats.optimizers import OPTIMIZER, is_optimizer
from normcli.formats.pickles.foreign import foreign_inside, is_foreign
from normcli.formats.pickles.nodes import (
    DictNode,
    ScriptNode,
    SetNode,
    SizeNode,
    TensorNode,
    UnreadTensor,
)
from normcli.formats.sections import LONE
from normcli.formats.spelling import key_text, quoted
from normcli.formats.torch_tables import plain_metadata
from normcli.formats.writers.bare_tensors import BareTensors
from normcli.formats.writers.given_nodes import GivenNodes, metadata_node
from normcli.records import Skipped, full_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from normcli.formats.base import Checkpoint
    from normcli.formats.writers.draft import Draft
    from normcli.records import Given

Value: TypeAlias = Any  # plain data or a node
Path: TypeAlias = tuple[str, ...]

_OMITTED = object()  # a foreign object: a dict loses its key, a list has None in its place
_REMOVED = object()  # an optimizer state: a list gets shorter
_GONE = (_OMITTED, _REMOVED)


@dataclass(slots=True)
class Rewritten:
    """A tree after a draft.

    Attributes:
        root: Of the tree.
        dropped: What it does not hold any more, and why.
        placed: Names of the input in whose places something was put.
    """

    root: Value
    dropped: list[Skipped] = field(default_factory=list)
    placed: set[str] = field(default_factory=set)


def rewritten(
    root: Value, draft: Draft, checkpoint: Checkpoint, nodes: Mapping[str, TensorNode]
) -> Rewritten:
    """The tree with the changes of a draft; the paths are those of `sections`.

    Args:
        root: Parsed with calls.
        draft: Its `drop_opaque` was checked: foreign objects are dropped here.
        checkpoint: The input.
        nodes: Name → node of every tensor of the input.

    Raises:
        CheckpointError: A key comes twice, or a list would have to get another length.
        RefusedError: Nothing is left.
    """
    walk = _Walk(draft, GivenNodes(checkpoint), nodes)
    new = walk.enter(root, ())
    if new in _GONE:
        raise RefusedError("holds nothing but what is left out")
    walk.result.root = new
    return walk.result


class _Walk:
    def __init__(self, draft: Draft, made: GivenNodes, nodes: Mapping[str, TensorNode]) -> None:
        self.result = Rewritten(None)
        self._draft = draft
        self._made = made
        self._nodes = nodes
        self._bare = BareTensors()
        self._modules: dict[int, DictNode] = {}  # modules → their state dicts
        self._copies: dict[int, tuple[int, Value]] = {}  # containers around → depth, copy
        self._plain: set[int] = set()  # containers of nothing but plain data
        self._looped: set[int] = set()  # tuples that were met again: no copy can stand for them
        self._muted = False  # in an optimizer state: only foreign objects matter
        self._changes = 0  # made so far
        self._named = 0  # tensors and objects met so far
        self._reach = 0  # depth of the outermost container that was met again inside of itself

    def enter(self, value: Value, path: Path) -> Value:
        """What becomes of `value`: itself, something else, or one of `_GONE`."""
        if isinstance(value, DictNode | SetNode | list | tuple) and type(value) is not SizeNode:
            if is_optimizer(value, path[-1] if path else ""):
                return self._optimizer(value, path)
            return self._container(value, path)
        if isinstance(value, TensorNode):
            return self._lone(value, "/".join(path[:-1]), path[-1] if path else LONE)
        if isinstance(value, UnreadTensor):
            self._named += 1
            foreign = foreign_inside(value)
            return self._drop(path, f"{value.kind} with {foreign}") if foreign else value
        return self._foreign(value, path) if is_foreign(value) else value

    def _drop(self, path: Path, reason: str) -> Value:
        self._changes += 1
        self.result.dropped.append(Skipped("/".join(path) or "…", reason))
        return _OMITTED

    def _foreign(self, value: Value, path: Path) -> Value:
        self._named += 1
        if not is_module(value):
            return self._drop(path, f"foreign object {value.what}")
        kind = "TorchScript module" if isinstance(value, ScriptNode) else value.what
        self._drop((*path, "…"), f"{kind}, written as its state dict")
        if id(value) not in self._modules:
            items = dict(state_dict_items(value))
            self._modules[id(value)] = DictNode(items, ordered=True)
        return self._container(self._modules[id(value)], path)

    def _optimizer(self, value: Value, path: Path) -> Value:
        self._named += 1
        if self._draft.drop_optimizer:
            self._drop((*path, "…"), OPTIMIZER)
            return _REMOVED
        before, self._muted = self._muted, True
        new = self._container(value, path)
        self._muted = before
        return new

    # Containers

    def _container(self, value: Value, path: Path) -> Value:
        """The same node where nothing in it changes, still shared; else a copy."""
        if id(value) in self._plain:
            return value
        if id(value) in self._copies:
            depth, copy = self._copies[id(value)]
            self._reach = min(self._reach, depth)
            if isinstance(value, tuple):
                self._looped.add(id(value))
            return copy
        changes, named, reach, depth = self._changes, self._named, self._reach, len(self._copies)
        self._reach = depth + 1
        copy = self._dict(value, path) if isinstance(value, DictNode) else self._list(value, path)
        del self._copies[id(value)]
        # A copy of what is around it would not be what this one holds: then it is one too.
        stays = self._changes == changes and self._reach >= depth
        if id(value) in self._looped and not stays:
            raise RefusedError("holds a tuple inside of itself, which cannot be changed")
        if stays and self._named == named:
            self._plain.add(id(value))
        self._reach = min(reach, self._reach) if self._reach < depth else reach
        return value if stays else copy

    def _list(self, value: Value, path: Path) -> Value:
        """A list, a tuple or a set."""
        copy: list[Value] = []
        self._copies[id(value)] = (len(self._copies), value if isinstance(value, tuple) else copy)
        for index, item in enumerate(value.members if isinstance(value, SetNode) else value):
            new = self.enter(item, (*path, f"[{index}]"))
            if new is not _REMOVED:
                copy.append(None if new is _OMITTED else new)
        if isinstance(value, SetNode):
            return SetNode([each for each in copy if each is not None], value.frozen)
        return tuple(copy) if isinstance(value, tuple) else copy

    def _dict(self, value: DictNode, path: Path) -> DictNode:
        copy = DictNode(ordered=value.ordered)
        self._copies[id(value)] = (len(self._copies), copy)
        for key, item in value.items.items():
            for new_key, new in self._entries(key, item, path):
                if new_key in copy.items:
                    name = full_name("/".join(path), key_text(new_key))
                    raise CheckpointError(
                        f"{quoted(name)} would be written twice, expected a key that is free"
                    )
                copy.items[new_key] = new
        copy.metadata = self._metadata(value, "/".join(path))
        self._changes += copy.metadata is not value.metadata
        return copy

    def _entries(self, key: Value, item: Value, path: Path) -> Iterator[tuple[Value, Value]]:
        """What stands in a dict in the place of one entry."""
        text = key_text(key)
        if not isinstance(item, TensorNode):
            new = self.enter(item, (*path, text))
            if new not in _GONE:
                yield key, new
            return
        name = full_name("/".join(path), text)
        givens = self._givens(name)
        if givens is None:
            yield key, self._tensor(item, name)
        for given in givens or ():
            yield key if given.ref.key == text else given.ref.key, self._given(given)

    def _metadata(self, value: DictNode, section: str) -> Value:
        """The draft's, where a dict can have one; the old node of every entry that stays."""
        old = value.metadata
        if old is not None and foreign_inside(old):
            old = metadata_node(plain_metadata(old))
        new = self._draft.metadata.get(section)
        if new is None or self._muted or not (value.ordered or old is not None):
            return old
        plain = plain_metadata(old)
        if plain == dict(new):
            return old
        node = metadata_node(new)
        for key, entry in old.items.items() if isinstance(old, DictNode) else ():
            if key in new and plain[key] == new[key]:
                node.items[key] = entry
        return node

    # Tensors

    def _givens(self, name: str) -> tuple[Given, ...] | None:
        givens = None if self._muted else self._draft.places.get(name)
        self._named += 1
        if givens is not None:
            self._changes += 1
            self.result.placed.add(name)
        return givens

    def _lone(self, node: TensorNode, section: str, key: str) -> TensorNode:
        """A tensor in a list, or without a container: one tensor can take its place."""
        name = full_name(section, key)
        givens = self._givens(name)
        if givens is None:
            return self._tensor(node, name)
        if len(givens) != 1 or givens[0].ref.key != key:
            raise CheckpointError(
                f"{quoted(name)} stands in no dict, where only one tensor can take its place"
            )
        return self._given(givens[0])

    def _given(self, given: Given) -> TensorNode:
        if given.kept:
            return self._tensor(self._nodes[given.kept], given.kept)
        return self._made.node(given)

    def _tensor(self, node: TensorNode, name: str) -> TensorNode:
        bare, lost = self._bare.node(node)
        if lost:
            self._changes += 1
            self.result.dropped.append(Skipped(name, f"what hangs on the tensor: {lost}"))
        return bare
