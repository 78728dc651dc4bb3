"""The tables of a torch file: named nodes of its pickle, checked against the bytes they view."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

from normcli.errors import CheckpointError
from normcli.formats.extents import Extent, check_view, data_bytes, overlaps
from normcli.formats.opened import Header
from normcli.formats.pickles.nodes import DictNode, SetNode
from normcli.formats.spelling import quoted, several
from normcli.records import ITEMSIZE, Opaque, TensorRef, full_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from normcli.formats.budgets import Budgets
    from normcli.formats.extents import Record
    from normcli.formats.pickles.nodes import TensorNode
    from normcli.formats.sections import Found
    from normcli.formats.torch_content import Content

View: TypeAlias = tuple[str, int, tuple[int, ...], tuple[int, ...]]

_OVERLAP = "overlapping view: two of its elements may be one number in the file"


class TorchTables:
    """Header lines and extents of one torch file.

    Args:
        record_of: Storage key → its bytes.
        budgets: Longest name, most axes.
        swap: Whether the file was written on a big-endian machine.
    """

    def __init__(
        self, record_of: Callable[[str], Record], budgets: Budgets, *, swap: bool = False
    ) -> None:
        self.tensors: dict[str, TensorRef] = {}
        self.extents: dict[str, Extent] = {}
        self._record_of = record_of
        self._budgets = budgets
        self._swap = swap
        self._dtypes: dict[str, str] = {}  # storage key → dtype of the tensors in it

    def fill(self, found: Found) -> None:
        """A line for every tensor that was found.

        Raises:
            CheckpointError: A tensor outside its storage, a name that comes twice.
        """
        views = Counter(_view(node) for _, _, node in found.tensors)
        for section, key, node in found.tensors:
            name = full_name(section, key)
            try:
                self._add(name, section, key, node, tied=views[_view(node)] > 1)
            except CheckpointError as error:
                kind = type(error)
                raise kind(f"{quoted(name)} {error.message}", hint=error.hint) from error

    def _add(self, name: str, section: str, key: str, node: TensorNode, *, tied: bool) -> None:
        if name in self.tensors:
            raise CheckpointError("is the name of two tensors in different containers")
        if len(name) > self._budgets.name:
            raise CheckpointError(f"has {len(name)} characters, expected {self._budgets.name}")
        if len(node.shape) > self._budgets.dimensions:
            raise CheckpointError(f"has {len(node.shape)} axes, expected 64 at most")
        self._check_dtype(node)
        record = self._record_of(node.storage.key)
        check_view(node.start, node.shape, node.stride, ITEMSIZE[node.dtype], record.nbytes)
        self.tensors[name] = TensorRef(
            section,
            key,
            node.shape,
            node.dtype,
            data_bytes(node.shape, node.dtype),
            storage=_identity(node) if tied else "",
            note=_OVERLAP if overlaps(node.shape, node.stride) else "",
        )
        self.extents[name] = Extent(
            record, node.start, node.shape, node.stride, node.dtype, self._swap
        )

    def _check_dtype(self, node: TensorNode) -> None:
        dtype = self._dtypes.setdefault(node.storage.key, node.dtype)
        if dtype != node.dtype:
            raise CheckpointError(
                f"views storage {quoted(node.storage.key)} as {node.dtype}, another tensor "
                f"views it as {dtype}"
            )


def torch_header(
    kind: str,
    tables: TorchTables,
    found: Found,
    named: Mapping[str, int],
    content: Callable[[], Content],
) -> Header:
    """All that is known of a torch file.

    Args:
        kind: Name of the format.
        tables: Filled.
        found: What the pickle holds.
        named: Foreign name → how often the pickle reads it.
        content: Reads the file again, all of it as a tree.
    """
    opaque = tuple(Opaque(what, count, found.places.get(what, "")) for what, count in named.items())
    return Header(
        kind,
        tables.tensors,
        tables.extents,
        {
            section: plain_metadata(node)
            for section, node in found.metadata.items()
            if isinstance(node, DictNode)
        },
        tuple(found.skipped),
        opaque,
        _notes(found),
        content=content,
    )


def _notes(found: Found) -> tuple[str, ...]:
    notes = []
    marked = sum(node.attributes for _, _, node in found.tensors)
    if marked:
        notes.append(f"Python attributes of {marked} tensors were ignored")
    odd = [section for section, node in found.metadata.items() if not isinstance(node, DictNode)]
    if odd:
        notes.append(f"_metadata of {several(map(quoted, odd))} is no dictionary; it was ignored")
    if found.cycle:
        notes.append("a container in the pickle holds itself; it is named once")
    return tuple(notes)


def _view(node: TensorNode) -> View:
    return node.storage.key, node.start, node.shape, node.stride


def _identity(node: TensorNode) -> str:
    shape, stride = ("x".join(map(str, numbers)) for numbers in (node.shape, node.stride))
    return f"{node.storage.key}+{node.start}:{shape}:{stride}"


def plain_metadata(node: Any, levels: int = 8) -> Any:  # noqa: ANN401 - plain data of the file
    """`_metadata` as plain Python; what is neither a dict nor a scalar becomes None."""
    if isinstance(node, DictNode) and levels:
        return {key: plain_metadata(item, levels - 1) for key, item in node.items.items()}
    if isinstance(node, list | tuple | SetNode) and levels:
        members = node.members if isinstance(node, SetNode) else node
        return [plain_metadata(item, levels - 1) for item in members]
    return node if isinstance(node, str | int | float | bool) else None
