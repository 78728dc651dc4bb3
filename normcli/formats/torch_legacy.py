"""The format of torch.save before version 1.6: five pickles, then the storages one by one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from normcli.errors import CheckpointError
from normcli.formats.extents import Record
from normcli.formats.meter import Meter
from normcli.formats.pickles.bytes import PickleBytes
from normcli.formats.pickles.globals import STORAGE_ITEMSIZE
from normcli.formats.pickles.machine import PickleMachine
from normcli.formats.pickles.nodes import DictNode, GlobalNode, StorageNode, StorageType
from normcli.formats.sections import find_tensors
from normcli.formats.spelling import counted, quoted
from normcli.formats.torch_content import Content
from normcli.formats.torch_tables import TorchTables, torch_header

if TYPE_CHECKING:
    from normcli.formats.budgets import Budgets
    from normcli.formats.opened import Header
    from normcli.formats.source import Source

Value: TypeAlias = Any  # plain data or a node

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


def read_torch_legacy(source: Source, budgets: Budgets) -> Header:
    """The header of a legacy file; every storage is found, so that nothing stands between them."""
    meter = Meter(budgets)
    named: dict[str, int] = {}
    root, records = _parsed(source, meter, named)
    found = find_tensors(root, meter)
    tables = TorchTables(records.__getitem__, budgets)
    tables.fill(found)
    content = partial(_content, source, budgets)
    return torch_header("torch-legacy", tables, found, named, content)


def _content(source: Source, budgets: Budgets) -> Content:
    """The same file as a tree; nothing of the first reading is kept for it."""
    root, records = _parsed(source, Meter(budgets), {}, exact=True)
    return Content(root, source, records.__getitem__, budgets)


def _parsed(
    source: Source, meter: Meter, named: dict[str, int], *, exact: bool = False
) -> tuple[Value, dict[str, Record]]:
    """What the fourth pickle describes, and where each storage lies; all rules are checked."""
    stream = PickleBytes(source, 0, min(source.size, meter.budgets.pickle))
    storages = _Storages()
    start = [PickleMachine(stream, meter, _no_storage, named).run() for _ in range(3)]
    _check_start(*start)
    root = PickleMachine(stream, meter, storages.load, named, exact=exact).run()
    keys = PickleMachine(stream, meter, _no_storage, named).run()
    return root, _records(source, stream.position, storages.nodes, keys)


def _check_start(magic: Value, protocol: Value, system: Value) -> None:
    """Magic number, protocol version, and what machine wrote the file: the first three pickles."""
    if magic != _MAGIC or protocol != _PROTOCOL:
        found = quoted(protocol) if isinstance(protocol, int | str) else "unknown"  # str() may hang
        raise CheckpointError(f"is a legacy torch file of version {found}, not 1001")
    if not isinstance(system, DictNode):
        raise CheckpointError("its third pickle does not tell what machine wrote it")


def _no_storage(_: Value) -> StorageNode:
    raise CheckpointError("its pickle names a storage where torch writes none")


class _Storages:
    """The storages that persistent ids name."""

    def __init__(self) -> None:
        self.nodes: dict[str, StorageNode] = {}

    def load(self, pid: Value) -> Value:
        """`("storage", type, key, location, numel, view)`, or the class of a pickled module."""
        match pid:
            case ("storage", StorageType(dtype), str(key), _, int(numel), None):
                return self._node(key, dtype, numel)
            case ("storage", StorageType(), _, _, _, tuple() | list()):
                raise CheckpointError(
                    "holds a view of a storage, which torch has not written since version 0.4",
                    hint="where you trust it: load it with torch and save it again",
                )
            case ("module", GlobalNode() as made, *_):
                return made
        raise CheckpointError("its pickle names a storage in a way that torch does not write")

    def _node(self, key: str, dtype: str, numel: int) -> StorageNode:
        node = self.nodes.setdefault(key, StorageNode(key, dtype, numel))
        if (node.dtype, node.numel) != (dtype, numel):
            raise CheckpointError(f"storage {quoted(key)} is named with two dtypes or sizes")
        return node


def _records(
    source: Source, at: int, nodes: dict[str, StorageNode], keys: Value
) -> dict[str, Record]:
    """Where each storage lies: in the order of `keys`, a count in front of each, to the end."""
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise CheckpointError("its list of storages is not a list of names")
    if len(set(keys)) != len(keys) or set(keys) != nodes.keys():
        raise CheckpointError(
            f"lists {len(keys)} storages behind its pickle, which names {len(nodes)} others"
            if len(set(keys)) == len(keys)
            else "lists a storage twice"
        )
    records = {}
    for key in keys:
        node = nodes[key]
        _check_count(int.from_bytes(source.read(at, 8), "little", signed=True), node)
        nbytes = node.numel * STORAGE_ITEMSIZE[node.dtype]
        records[key] = Record(at + 8, nbytes, None, key)
        at += 8 + nbytes
        if at > source.size:
            raise CheckpointError(
                f"ends at byte {source.size}, expected {counted(at)} or more",
                hint="the file is truncated; download it again",
            )
    if at != source.size:
        raise CheckpointError(f"goes on for {source.size - at} bytes after its last storage")
    return records


def _check_count(count: int, node: StorageNode) -> None:
    if node.numel < 0:
        raise CheckpointError(
            f"storage {quoted(node.key)} has {counted(node.numel)} elements in the pickle, "
            "expected no negative number"
        )
    if count != node.numel:
        raise CheckpointError(
            f"storage {quoted(node.key)} has {count} elements, "
            f"its pickle says {counted(node.numel)}"
        )
