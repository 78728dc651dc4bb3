"""How a checkpoint stores a layer, and how its output is to store it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from normcli.initialization.stored import Before, Stored, held_weight
from normcli.records import ITEMSIZE, Given, NormState, TensorRef
from normcli.reparam import read_state
from normcli.reparam.spelling import TARGETS, line, spelled
from normcli.rewrite.plans.choice import checked_axis, parts_of, spelling
from normcli.selection import axis_choice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from normcli.formats.base import Checkpoint
    from normcli.initialization.layers import Layer
    from normcli.records import Axis, Weight
    from normcli.rewrite import Options

_NATIVE = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True, slots=True)
class Form:
    """A layer in the file.

    Attributes:
        weight: As the checkpoint stores it.
        bias: Likewise.
        result: The weight as the output stores it: plain, or a state of one weight norm.
        axis: Of that norm; None is one norm over the whole tensor.
        said: Row axis of `weight` from outside, for reading it.
    """

    weight: Weight
    bias: TensorRef
    result: Weight
    axis: Axis
    said: Axis | str

    def stored(self, checkpoint: Checkpoint, layer: Layer) -> Stored:
        """The same with what reads it."""
        return Stored(self.result, self.axis, partial(self._read, checkpoint, layer))

    def effective(self, checkpoint: Checkpoint) -> Tensor:
        """The weight that the file means, in its own dtype."""
        if not isinstance(self.weight, NormState):
            return checkpoint.read(self.weight.name)
        return read_state(checkpoint.read, self.weight, self.said).weight

    def gives(self, *, keeps_v: bool) -> tuple[Given, ...]:
        """What stands in the places of the old tensors, the bias last."""
        parts = dict(self.weight.parts) if isinstance(self.weight, NormState) else {}
        parts["bias"] = self.bias
        largest = max(parts_of(self.weight), key=lambda part: part.nbytes).name
        given = []
        for role, ref in self.parts().items():
            place = parts[role].name if role in parts else largest
            kept = place if role == "v" and keeps_v else ""
            given.append(Given(ref, place, kept))
        return tuple(given)

    def parts(self) -> dict[str, TensorRef]:
        """Role (`weight`, or `g` and `v`, and `bias`) → tensor of the output."""
        bias = line(self.bias.section, self.bias.key, self.bias.shape, self.bias.dtype)
        if isinstance(self.result, NormState):
            return {**self.result.parts, "bias": bias}
        return {"weight": self.result, "bias": bias}

    def _read(self, checkpoint: Checkpoint, layer: Layer) -> Before:
        """The weight with as many digits as there are: a wide model computes it from half ones."""
        bias = checkpoint.read(self.bias.name)
        weight = held_weight(layer) if self._is_rounded(layer) else self.effective(checkpoint)
        return Before(weight, bias, self._norm(checkpoint))

    def _is_rounded(self, layer: Layer) -> bool:
        return ITEMSIZE[self.weight.dtype] < ITEMSIZE[layer.state.dtype]

    def _norm(self, checkpoint: Checkpoint) -> tuple[Tensor, Tensor] | None:
        """(g, v) of a weight norm that stays on its axis."""
        if not (isinstance(self.weight, NormState) and isinstance(self.result, NormState)):
            return None
        if not _is_weight_norm(self.weight) or self.axis not in self.weight.axes:
            return None
        parts = self.weight.parts
        return checkpoint.read(parts["g"].name), checkpoint.read(parts["v"].name)


def form_of(layer: Layer, stored: Mapping[str, Weight], options: Options) -> Form | str:
    """The form of a layer, or why it cannot be stored.

    Args:
        layer: Of the model.
        stored: Key in the model → how the checkpoint stores it.
        options: Its `layout` is that of the output; None keeps the one of each weight.
    """
    weight, bias = stored[layer.key], stored[layer.bias_key]
    if isinstance(bias, NormState):
        return "its bias is stored under a norm"
    if weight.dtype not in _NATIVE or bias.dtype not in _NATIVE:
        return f"stored as {weight.dtype} with a {bias.dtype} bias"
    layout = options.layout or _own_layout(weight)
    if not layout:
        return f"stored under {spelling(weight)}: --layout says how its result is stored"
    said = checked_axis(weight, axis_choice(options.dims)(weight))
    axis = _axis(layer, weight, said, kept=options.layout is None)
    if layout == "plain":
        result: Weight = line(weight.section, weight.key, weight.shape, weight.dtype)
        return Form(weight, bias, result, None, said)
    old = _is_weight_norm(weight) and isinstance(weight, NormState) and axis in weight.axes
    result = spelled(weight, "weight", layout, axis, old_parts=old)
    return Form(weight, bias, result, axis, said)


def _own_layout(weight: Weight) -> str:
    if not isinstance(weight, NormState):
        return "plain"
    return weight.layout if _is_weight_norm(weight) and weight.layout in TARGETS else ""


def _is_weight_norm(weight: Weight) -> bool:
    return isinstance(weight, NormState) and weight.family == "weight" and not weight.stack


def _axis(layer: Layer, weight: Weight, said: Axis | str, *, kept: bool) -> Axis:
    """Of weight norm: that from outside, else the model's own, else the file's, else torch's.

    What is said of a weight under another norm is the row axis of that one.
    """
    if isinstance(weight, NormState) and not _is_weight_norm(weight):
        said = "auto"
    own = weight.axes if isinstance(weight, NormState) and _is_weight_norm(weight) else ()
    if not isinstance(said, str) and (not (kept and own) or said in own):
        return said
    if isinstance(layer.state, NormState) and (not (kept and own) or layer.axis in own):
        return layer.axis
    return own[0] if own else 0
