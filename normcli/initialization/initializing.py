"""One layer: its scale found from its output, stored, and proved by running it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.utils import parametrize

from normcli.initialization.moments import unit_moments
from normcli.initialization.stored import effective, encoded
from normcli.initialization.units import Scaling, candidates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from normcli.initialization.layers import Layer
    from normcli.initialization.moments import UnitMoments
    from normcli.initialization.stored import Before, Stored
    from normcli.initialization.units import Units

_ROUNDS = 3  # of correction: what rounding of weight and bias has left of mean and deviation
_LAW = 1e-2  # root mean square error of W·x + b in units of the new output: ten bits miss 6e-3
_ROUNDING = 32  # units in the last place of the old output, likewise: sums of 2000 products miss 7
_MOST = 0.25  # of both, likewise: what is farther off is not W·x + b, whatever its rounding


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call of a layer.

    Attributes:
        layer: Of the model, which holds the weight before.
        output: That it gave, on inputs that come from initialized layers.
        again: Gives the output with what the module holds now; hooks of the user run as well.
    """

    layer: Layer
    output: object
    again: Callable[[], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Initialized:
    """A layer that was initialized.

    Attributes:
        parts: Role → tensor to be stored.
        units: Where they are.
        keeps_v: Whether v is what it was, bit for bit.
        old: Role → what the module held.
    """

    parts: Mapping[str, Tensor]
    units: Units
    keeps_v: bool
    old: Mapping[str, Tensor]


def initialize_layer(call: Call, stored: Stored) -> tuple[Initialized, Tensor] | str:
    """W ← W/σ[t] and b ← (b − μ[t])/σ[t] for the output t of a layer, or why not.

    With it comes the new output, of the layer run again with what is stored, rounded as it is
    stored. Where that is not (t − μ)/σ the layer does not compute W·x + b, and is as it was.

    Source: Salimans & Kingma, arXiv:1602.07868, section 3.
    """
    output, old = call.output, held(call.layer)
    if not isinstance(output, torch.Tensor) or not output.is_floating_point():
        return "its output is no floating tensor"
    if not output.numel():
        return "its output has no entries"
    before = stored.read()
    reason = "its output has no axis of as many units as its bias"
    for units in candidates(call.layer, output):
        moments = unit_moments(output, units.channel)
        reason = _unfit(moments)
        if reason:
            continue
        attempt = _Attempt(call, stored, before, units)
        try:
            found = attempt.made(output, moments)
        except BaseException:
            put(call.layer, old)
            raise
        if not isinstance(found, str):
            kept = before.norm is not None and found.parts.get("v") is before.norm[1]
            return Initialized(found.parts, units, kept, old), found.output
        put(call.layer, old)
        reason = found
    return reason


def _unfit(moments: UnitMoments) -> str:
    if not moments.is_finite:
        return "its output holds NaN or infinite entries"
    constant, units = moments.constant, len(moments.mean)
    if not constant:
        return ""
    what = f"{constant} of {units} units do not vary over the batch"
    return f"{what}: it gives each one value" if moments.count == 1 else what


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """A scaling with what it makes of the layer."""

    scaling: Scaling
    parts: Mapping[str, Tensor]
    output: Tensor
    moments: UnitMoments

    @property
    def error(self) -> float:
        """How far mean and deviation are from 0 and 1."""
        mean, std = self.moments.mean.abs().max(), (self.moments.std - 1).abs().max()
        return max(float(mean), float(std))

    def corrected(self) -> Scaling:
        """With the mean and the deviation taken out that rounding has left."""
        shift = self.scaling.shift + self.scaling.scale * self.moments.mean
        return Scaling(self.scaling.units, shift, self.scaling.scale * self.moments.std)


@dataclass(frozen=True, slots=True, eq=False)
class _Attempt:
    """A layer that may have its units there."""

    call: Call
    stored: Stored
    before: Before
    units: Units

    def made(self, output: Tensor, moments: UnitMoments) -> _Found | str:
        """The layer initialized, or why not; the module then holds whatever was tried."""
        scaling = Scaling(self.units, moments.mean, moments.std)
        exact = self._unrounded(scaling) if self.stored.eps > moments.eps else None
        found = self._with(scaling)
        if found is None:
            return f"scaled it would hold NaN or infinite entries in {self.stored.result.dtype}"
        if not self._is_linear(scaling, found.output if exact is None else exact, output, moments):
            return "its output is not W·x + b: the scaled layer does not give the scaled output"
        for _ in range(_ROUNDS):
            if found.error <= moments.eps:
                break
            better = self._with(found.corrected())
            if better is None or not better.error < found.error:
                put(self.call.layer, live(self.call.layer, self.stored, found.parts))
                break
            found = better
        return found

    def _with(self, scaling: Scaling) -> _Found | None:
        parts = self.stored.scaled(self.before, scaling)
        if not all(bool(part.isfinite().all()) for part in parts.values()):
            return None
        put(self.call.layer, live(self.call.layer, self.stored, parts))
        output = self.call.again()
        return _Found(scaling, parts, output, unit_moments(output, self.units.channel))

    def _unrounded(self, scaling: Scaling) -> Tensor:
        """The output of the layer scaled in its own dtype, which is wider than what is stored."""
        layer = self.call.layer
        weight = encoded(scaling.weight(self.before.weight), layer.state, layer.axis)
        put(layer, {**weight, "bias": scaling.bias(self.before.bias)})
        return self.call.again()

    def _is_linear(
        self, scaling: Scaling, given: Tensor, output: Tensor, moments: UnitMoments
    ) -> bool:
        """Whether the output became what a layer W·x + b would give."""
        if given.shape != output.shape:
            return False
        error = scaling.error(output, given)
        ratio = moments.largest / moments.std
        rounding = _ROUNDING * moments.eps * ratio.clamp(min=ratio.square().mean().sqrt())
        return bool((error <= (_LAW + rounding).clamp(max=_MOST)).all())


def live(layer: Layer, stored: Stored, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a module is to hold, for the effective weight of what is stored to be its own.

    The very same parts where it has the same norm on the same axis.
    """
    if set(layer.parts) < set(parts) and (stored.is_plain or stored.axis == layer.axis):
        return dict(parts)
    weight = effective(parts, stored.axis)
    return {**encoded(weight, layer.state, layer.axis), "bias": parts["bias"]}


def held(layer: Layer) -> dict[str, Tensor]:
    """Role → a copy of what a module holds."""
    tensors = {**layer.parts, "bias": layer.bias}
    return {role: tensor.detach().clone() for role, tensor in tensors.items()}


def put(layer: Layer, parts: Mapping[str, Tensor]) -> None:
    """Copy tensors into the parameters of a module, in place: their identity is the model's."""
    with torch.no_grad():
        for role, tensor in layer.parts.items():
            tensor.copy_(parts[role].reshape(tensor.shape))  # one number g may be () or (1,)
        layer.bias.copy_(parts["bias"])
    torch.clear_autocast_cache()  # it holds what they were, in the lower precision
    parametrize._cache.clear()  # noqa: SLF001  likewise, within `parametrize.cached()`
