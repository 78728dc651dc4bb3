"""Mean and standard deviation of every unit of an output, in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from normcli.records import Moments, Spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

_PANEL = 1 << 22  # entries in float64 at a time
_ROUNDING = 4  # units in the last place of the largest entry: what varies less does not vary


@dataclass(frozen=True, slots=True)
class UnitMoments:
    """Of each unit, over batch and positions.

    Attributes:
        mean: Shape (units,), float64, on the CPU.
        std: Population standard deviation, likewise.
        largest: Largest magnitude of an entry, likewise.
        count: Entries of one unit.
        eps: Machine epsilon of the output's dtype.
    """

    mean: Tensor
    std: Tensor
    largest: Tensor
    count: int
    eps: float

    @property
    def is_finite(self) -> bool:
        """Whether no entry was NaN or infinite."""
        return bool(self.std.isfinite().all())

    @property
    def constant(self) -> int:
        """How many units do not vary, or no more than rounding makes them."""
        return int((self.std <= _ROUNDING * self.eps * self.largest).sum())

    def record(self) -> Moments:
        """The lowest and the highest of both."""
        return Moments(_spread(self.mean), _spread(self.std))


def unit_moments(output: Tensor, channel: int) -> UnitMoments:
    """μ and σ of every unit (σ with the divisor n), two passes in float64.

    Args:
        output: Real floating, `channel` one of its axes.
        channel: Axis of the units.
    """
    parts = [_panel(rows) for rows in panels(output, channel)]
    mean, std, largest = (torch.cat(each) for each in zip(*parts, strict=True))
    count = output.numel() // len(mean)
    return UnitMoments(mean, std, largest, count, torch.finfo(output.dtype).eps)


def panels(output: Tensor, channel: int) -> Iterator[Tensor]:
    """Some units of an output at a time: (units, count), in float64 on the CPU."""
    rows = output.detach().movedim(channel, 0)
    for some in torch.split(rows, max(1, _PANEL * len(rows) // max(1, output.numel()))):
        yield some.reshape(len(some), -1).to(device="cpu", dtype=torch.float64)


def _panel(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    variance, mean = torch.var_mean(rows, dim=1, correction=0)
    return mean, variance.sqrt(), rows.abs().amax(dim=1)


def _spread(values: Tensor) -> Spread:
    return Spread(float(values.min()), float(values.max()))
