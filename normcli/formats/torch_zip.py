"""The zip format of torch.save and torch.jit.save: `data.pkl`, and a stored record per storage."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from normcli.errors import CheckpointError, RefusedError
from normcli.formats.extents import Record
from normcli.formats.filling import check_crc
from normcli.formats.meter import Meter
from normcli.formats.pickles.bytes import PickleBytes
from normcli.formats.pickles.globals import STORAGE_ITEMSIZE
from normcli.formats.pickles.machine import PickleMachine
from normcli.formats.pickles.nodes import StorageNode, StorageType
from normcli.formats.sections import find_tensors
from normcli.formats.spelling import counted, quoted, several
from normcli.formats.torch_content import Content
from normcli.formats.torch_tables import TorchTables, torch_header
from normcli.formats.zip_container import STORED, Entry, read_entries
from normcli.records import Skipped

if TYPE_CHECKING:
    from normcli.formats.budgets import Budgets
    from normcli.formats.opened import Header
    from normcli.formats.source import Source


def read_torch_zip(source: Source, budgets: Budgets) -> Header:
    """The header of a zip archive of torch, TorchScript or not."""
    archive = _Archive(source, budgets)
    meter = Meter(budgets)
    named: dict[str, int] = {}
    found = find_tensors(archive.root(meter, named), meter)
    if archive.script and archive.has_constants:
        found.skipped.append(Skipped("constants/…", "TorchScript constants"))
    tables = TorchTables(archive.storages.record, budgets, swap=archive.swap)
    tables.fill(found)
    kind = "torchscript" if archive.script else "torch-zip"
    content = partial(_content, source, budgets)
    return torch_header(kind, tables, found, named, content)


def _content(source: Source, budgets: Budgets) -> Content:
    """The same file as a tree; nothing of the first reading is kept for it."""
    archive = _Archive(source, budgets)
    root = archive.root(Meter(budgets), {}, exact=True)
    return Content(root, source, archive.storages.record, budgets, archive.swap)


class _Archive:
    """The entries of an archive, and its pickle on demand."""

    def __init__(self, source: Source, budgets: Budgets) -> None:
        entries = read_entries(source, budgets)
        if "data.pkl" not in entries:
            raise _no_pickle(entries)
        self.script = "constants.pkl" in entries  # as torch.load tells the two apart
        self.has_constants = any(name.startswith("constants/") for name in entries)
        self.swap = _is_big_endian(source, entries)
        self.storages = _Storages(entries)
        self._source = source
        self._pickle = _stored(entries["data.pkl"])
        if self._pickle.nbytes > budgets.pickle:
            raise RefusedError(
                f"its pickle has {self._pickle.nbytes} bytes, the limit is {budgets.pickle}"
            )

    def root(self, meter: Meter, named: dict[str, int], *, exact: bool = False) -> Any:  # noqa: ANN401 - a node or plain data
        """What the pickle describes; the arguments are the machine's."""
        check_crc(self._source, self._pickle)
        stream = PickleBytes(self._source, self._pickle.offset, self._pickle.nbytes)
        load = self.storages.load
        root = PickleMachine(stream, meter, load, named, script=self.script, exact=exact).run()
        if stream.left:
            raise CheckpointError(f"its pickle goes on for {stream.left} bytes after STOP")
        return root


class _Storages:
    """The records that persistent ids name, each checked when it is first named."""

    def __init__(self, entries: dict[str, Entry]) -> None:
        self._entries = entries
        self._nodes: dict[str, StorageNode] = {}

    def load(self, pid: object) -> StorageNode:
        """`("storage", type, key, location, numel)` → its node."""
        match pid:
            case ("storage", StorageType(dtype), str(key), _, int(numel)):
                return self._node(key, dtype, numel)
            case ("storage", StorageType(dtype), int(key), _, int(numel)):
                return self._node(str(key), dtype, numel)
        raise CheckpointError("its pickle names a storage in a way that torch does not write")

    def _node(self, key: str, dtype: str, numel: int) -> StorageNode:
        node = self._nodes.get(key)
        if node is None:
            self._check(key, numel * STORAGE_ITEMSIZE[dtype])
            node = self._nodes[key] = StorageNode(key, dtype, numel)
        if (node.dtype, node.numel) != (dtype, numel):
            raise CheckpointError(f"storage {quoted(key)} is named with two dtypes or sizes")
        return node

    def _check(self, key: str, nbytes: int) -> None:
        record = self.record(key)
        if record.nbytes != nbytes:
            raise CheckpointError(
                f"storage {quoted(key)} has {counted(nbytes)} bytes in the pickle, "
                f"{record.nbytes} in the archive"
            )

    def record(self, key: str) -> Record:
        """The bytes of a storage."""
        entry = self._entries.get(f"data/{key}")
        if entry is None:
            raise CheckpointError(f"its archive lacks the record of storage {quoted(key)}")
        return _stored(entry)


def _stored(entry: Entry) -> Record:
    if entry.method != STORED:
        raise CheckpointError(
            f"its record {quoted(entry.name)} is compressed",
            hint="the archive was packed again; unpack it and store it without compression",
        )
    return Record(entry.offset, entry.nbytes, entry.crc, entry.name)


def _is_big_endian(source: Source, entries: dict[str, Entry]) -> bool:
    """What the record `byteorder` says; files without it are little-endian."""
    if "byteorder" not in entries:
        return False
    record = _stored(entries["byteorder"])
    word = source.read(record.offset, min(record.nbytes, 16))
    if word not in (b"little", b"big"):
        raise CheckpointError(f"its byte order is {quoted(word)}, expected little or big")
    check_crc(source, record)
    return word == b"big"


def _no_pickle(entries: dict[str, Entry]) -> CheckpointError:
    listed = several(sorted(map(quoted, entries)), most=3)
    return CheckpointError(
        f"is a zip archive without data.pkl, which torch.save writes; it holds {listed}"
    )
