"""Where the units of a layer are, in its weight and in its output, and how they are scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from normcli.initialization.moments import panels

if TYPE_CHECKING:
    from torch import Tensor

    from normcli.initialization.layers import Layer


@dataclass(frozen=True, slots=True)
class Units:
    """Where the units are.

    Attributes:
        axis: Of the weight.
        channel: Of the output.
        groups: Of a transposed convolution: its weight has the units of all groups side by side
            on axis 0, those of one group on axis 1.
    """

    axis: int
    channel: int
    groups: int = 1

    def spread_out(self, values: Tensor, weight: Tensor) -> Tensor:
        """A number of every unit where the unit's entries of a weight are: shaped to multiply.

        Args:
            values: Shape (units,).
            weight: Its shape counts.
        """
        if self.groups > 1:
            inputs = weight.shape[0] // self.groups
            values = values.reshape(self.groups, -1).repeat_interleave(inputs, dim=0)
            return values.reshape(*values.shape, *[1] * (weight.ndim - 2))
        shape = [1] * weight.ndim
        shape[self.axis] = -1
        return values.reshape(shape)


@dataclass(frozen=True, slots=True)
class Scaling:
    """W ← W/scale and b ← (b − shift)/scale: t = Wx + b becomes (t − shift)/scale.

    Attributes:
        units: Where they are.
        shift: Shape (units,), float64.
        scale: Shape (units,), float64, positive.
    """

    units: Units
    shift: Tensor
    scale: Tensor

    def weight(self, weight: Tensor) -> Tensor:
        """The weight scaled, in float64."""
        wide = weight.to(torch.float64)
        return wide / self.units.spread_out(self.scale, weight)

    def bias(self, bias: Tensor) -> Tensor:
        """The bias shifted and scaled, in float64."""
        return (bias.to(torch.float64) - self.shift) / self.scale

    def error(self, before: Tensor, after: Tensor) -> Tensor:
        """Root mean square by which an output misses (t − shift)/scale, shape (units,), float64."""
        errors, channel = [], self.units.channel
        shifts, scales = self.shift[:, None], self.scale[:, None]
        for was, now in zip(panels(before, channel), panels(after, channel), strict=True):
            shift, shifts = shifts[: len(was)], shifts[len(was) :]
            scale, scales = scales[: len(was)], scales[len(was) :]
            expected = (was - shift) / scale
            errors.append((now - expected).square().mean(dim=1).sqrt())
        return torch.cat(errors)


def candidates(layer: Layer, output: Tensor) -> list[Units]:
    """Where the units of a layer may be, likeliest first; empty where its output has none.

    Of torch's own layers it is known; of any other the sizes leave a choice, and only the
    scaled layer tells whether it was right.
    """
    shape, count = layer.weight_shape, layer.bias.shape[0]
    known = _known(layer.module, len(shape))
    if known is not None:
        known = [units for units in known if _fits(units, shape, output, count)]
    if known:
        return known
    axes = [axis for axis, size in enumerate(shape) if size == count]
    channels = [channel - output.ndim for channel, size in enumerate(output.shape) if size == count]
    channels.sort(key=lambda channel: channel != -1)
    return [Units(axis, channel) for axis in axes for channel in channels]


def _known(module: nn.Module, ndim: int) -> list[Units] | None:
    if isinstance(module, (nn.Linear, nn.Bilinear)):
        return [Units(0, -1)]
    if isinstance(module, _ConvTransposeNd):
        return [Units(1, 1 - ndim, int(module.groups))]
    if isinstance(module, _ConvNd):
        return [Units(0, 1 - ndim)]
    return None


def _fits(units: Units, shape: tuple[int, ...], output: Tensor, count: int) -> bool:
    inside = -units.channel <= output.ndim and units.axis < len(shape)
    return (
        inside
        and output.shape[units.channel] == count
        and shape[units.axis] * units.groups == count
    )
