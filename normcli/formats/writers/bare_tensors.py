"""Tensors without what only their file's own code understands: a class, attributes, hooks."""

from __future__ import annotations

from normcli.formats.pickles.foreign import foreign_inside
from normcli.formats.pickles.nodes import Call, DictNode, DtypeNode, GlobalNode, TensorNode

_TENSOR, _TENSOR_V3 = "_rebuild_tensor_v2", "_rebuild_tensor_v3"
_PARAMETERS = ("_rebuild_parameter", "_rebuild_parameter_with_state")


class BareTensors:
    """Nodes whose calls name nothing foreign; one node stays one node."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[TensorNode, TensorNode, str]] = {}

    def node(self, node: TensorNode) -> tuple[TensorNode, str]:
        """The node itself, or one over the same bytes, and the foreign name that it lacks."""
        if id(node) not in self._known:
            lost = foreign_inside(node)
            self._known[id(node)] = (node, _bare(node) if lost else node, lost)
        _, bare, lost = self._known[id(node)]
        return bare, lost


def _bare(node: TensorNode) -> TensorNode:
    """The same view, and the same wrapping into a Parameter where that is the outer call."""
    args = (node.storage, node.start, node.shape, node.stride, False, DictNode(ordered=True))
    call = Call(GlobalNode("torch._utils", _TENSOR), args)
    if not node.storage.dtype:
        call = Call(GlobalNode("torch._utils", _TENSOR_V3), (*args, DtypeNode(node.dtype)))
    bare = _viewing(node, call)
    if node.call is None or node.call.function.name not in _PARAMETERS:
        return bare
    wrapped = (bare, node.call.args[1] is True, DictNode(ordered=True))
    return _viewing(node, Call(GlobalNode("torch._utils", _PARAMETERS[0]), wrapped))


def _viewing(node: TensorNode, call: Call) -> TensorNode:
    return TensorNode(node.storage, node.start, node.shape, node.stride, node.dtype, call=call)
