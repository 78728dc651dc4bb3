"""Nodes of tensors that no pickle of the input holds: made ones, and those of other formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from normcli.formats.extents import contiguous
from normcli.formats.pickles.globals import STORAGE_CLASSES, STORAGE_ITEMSIZE
from normcli.formats.pickles.nodes import (
    Call,
    DictNode,
    DtypeNode,
    GlobalNode,
    StorageNode,
    TensorNode,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normcli.formats.base import Checkpoint
    from normcli.records import Given, TensorRef


@dataclass(slots=True, eq=False)
class GivenStorage(StorageNode):
    """Bytes that are not in a record of the input.

    Attributes:
        given: The tensor that they are; the first one where several share them.
    """

    given: Given | None = None


class GivenNodes:
    """A node for each tensor, contiguous, over bytes of its own or shared ones.

    Args:
        checkpoint: Says which kept tensors share their bytes.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._shared: dict[tuple[bool, str, str, int], GivenStorage] = {}

    def node(self, given: Given) -> TensorNode:
        """The tensor as torch.save would write it."""
        storage = self._storage(given)
        ref = given.ref
        stride = contiguous(ref.shape)
        call = _call(storage, ref, stride)
        return TensorNode(storage, 0, ref.shape, stride, ref.dtype, call=call)

    def _storage(self, given: Given) -> GivenStorage:
        bytes_of = given.ref.storage
        if given.kept:
            bytes_of = self._checkpoint.tensors[given.kept].storage or given.kept
        made = _new_storage(given)
        if not bytes_of:
            return made
        return self._shared.setdefault((bool(given.kept), bytes_of, made.dtype, made.numel), made)


def _new_storage(given: Given) -> GivenStorage:
    """Typed where torch has a type of storage for the dtype, which older versions need."""
    dtype = given.ref.dtype if given.ref.dtype in STORAGE_CLASSES else ""
    numel = given.ref.nbytes // STORAGE_ITEMSIZE[dtype]
    return GivenStorage("", dtype, numel, given.ref.dtype, given)


def _call(storage: StorageNode, ref: TensorRef, stride: tuple[int, ...]) -> Call:
    """`_rebuild_tensor_v2` of storage, offset, size, stride, gradient and hooks; v3 has a dtype."""
    args: tuple[Any, ...] = (storage, 0, ref.shape, stride, False, DictNode(ordered=True))
    if storage.dtype:
        return Call(GlobalNode("torch._utils", "_rebuild_tensor_v2"), args)
    return Call(GlobalNode("torch._utils", "_rebuild_tensor_v3"), (*args, DtypeNode(ref.dtype)))


def metadata_node(metadata: Mapping[str, Any]) -> DictNode:
    """`_metadata` as torch has it: an OrderedDict of dicts."""
    return DictNode({key: _plain_node(value) for key, value in metadata.items()}, ordered=True)


def _plain_node(value: Any) -> Any:  # noqa: ANN401 - plain data
    if isinstance(value, dict):
        return DictNode({key: _plain_node(item) for key, item in value.items()})
    return [_plain_node(item) for item in value] if isinstance(value, list | tuple) else value
