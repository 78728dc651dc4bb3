"""A weight as it is stored before and after: read from a model or a file, scaled, encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from normcli.records import NormState
from normcli.reparam.weight import weight_normed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from normcli.initialization.layers import Layer
    from normcli.initialization.units import Scaling
    from normcli.records import Axis, Weight


@dataclass(frozen=True, slots=True, eq=False)
class Before:
    """A weight and its bias as they were, on the CPU.

    Attributes:
        weight: The effective weight.
        bias: Shape (units,).
        norm: (g, v), where the weight was under weight norm on the axis that it will have.
    """

    weight: Tensor
    bias: Tensor
    norm: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """In which form a layer's weight is stored afterwards, and where it is read from.

    Attributes:
        result: The form: plain, or a state of one weight norm.
        axis: Of that norm; None is one norm over the whole tensor.
        read: Gives what was; its tensors are not written to.
    """

    result: Weight
    axis: Axis
    read: Callable[[], Before]

    @property
    def is_plain(self) -> bool:
        """Whether no norm is stored afterwards."""
        return not isinstance(self.result, NormState)

    @property
    def eps(self) -> float:
        """Machine epsilon of the dtype that the weight is stored in."""
        return torch.finfo(_dtype(self.result.dtype)).eps

    def scaled(self, before: Before, scaling: Scaling) -> dict[str, Tensor]:
        """Role (`weight`, or `g` and `v`, and `bias`) → tensor to be stored, in its own dtype.

        Where g has the units' axis g ← g/scale and v stays, the very tensor; else the weight is
        scaled and encoded anew, as torch's weight norm begins: v the weight, g its norm.
        """
        bias = scaling.bias(before.bias).to(before.bias.dtype)
        own = self.axis == scaling.units.axis and scaling.units.groups == 1
        if own and before.norm is not None:
            g, v = before.norm
            scale = scaling.scale.reshape(g.shape)
            return {"g": (g.to(torch.float64) / scale).to(g.dtype), "v": v, "bias": bias}
        return {**encoded(scaling.weight(before.weight), self.result, self.axis), "bias": bias}


def encoded(weight: Tensor, result: Weight, axis: Axis) -> dict[str, Tensor]:
    """A weight in the form of `result`: plain, or v the weight as it is rounded and g its norm."""
    if not isinstance(result, NormState):
        return {"weight": weight.to(_dtype(result.dtype))}
    parts = result.parts
    v = weight.to(_dtype(parts["v"].dtype))
    g = torch.norm_except_dim(v, 2, -1 if axis is None else axis)
    return {"g": g.to(_dtype(parts["g"].dtype)).reshape(parts["g"].shape), "v": v}


def effective(parts: Mapping[str, Tensor], axis: Axis) -> Tensor:
    """The weight of its parts: itself, or g·v/‖v‖ bit for bit as torch computes it."""
    if "weight" in parts:
        return parts["weight"]
    return weight_normed(parts["v"], parts["g"], axis)


def held_weight(layer: Layer) -> Tensor:
    """The effective weight that a module holds, copied to the CPU."""
    parts = {role: tensor.detach().cpu().clone() for role, tensor in layer.parts.items()}
    return effective(parts, layer.axis)


def _dtype(name: str) -> torch.dtype:
    dtype = getattr(torch, name)
    assert isinstance(dtype, torch.dtype)  # noqa: S101  a key of `ITEMSIZE`
    return dtype
