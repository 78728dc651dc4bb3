"""A model in memory, initialized where it is."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from normcli.errors import UsageError
from normcli.initialization.batch import arguments_from
from normcli.initialization.layers import layers_of
from normcli.initialization.passes import Pass
from normcli.initialization.running import initialized
from normcli.initialization.stored import Before, Stored, effective
from normcli.records import Initialization, Skipped
from normcli.selection import chosen, matcher

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from normcli.initialization.layers import Layer
    from normcli.records import Weight


def initialized_model(
    model: nn.Module,
    batch: Tensor | Sequence[Any] | Mapping[str, Any],
    *,
    include: Sequence[str],
    exclude: Sequence[str],
    training: bool,
    seed: int,
    strict: bool,
) -> Initialization:
    """What `normcli.initialize` does, with the same arguments."""
    arguments, keywords = arguments_from(model, batch)
    found = layers_of(model)
    wanted = _wanted(found.weights, include, exclude)
    layers = {key: layer for key, layer in found.layers.items() if key in wanted}
    unfit = {key: reason for key, reason in found.unfit.items() if key in wanted}
    run = initialized(
        Pass(model, arguments, keywords, training, seed, where="batch"),
        layers,
        {key: Stored(each.state, each.axis, partial(_read, each)) for key, each in layers.items()},
        unfit,
        strict=strict,
    )
    left = tuple(Skipped(key, run.left[key]) for key in wanted if key in run.left)
    return Initialization(tuple(run.layers.values()), left)


def _wanted(
    weights: Sequence[Weight], include: Sequence[str], exclude: Sequence[str]
) -> dict[str, Weight]:
    """Key → weight, of those that are asked for.

    Raises:
        UsageError: A pattern of `include` means nothing: most likely a slip.
    """
    for pattern in include:
        if not any(map(matcher([pattern]), weights)):
            message = f"{pattern!r} matches none of {len(weights)} weights"
            raise UsageError(message, where="include", hint="they are keys: 'conv.weight'")
    wanted = chosen(include, exclude)
    return {weight.key: weight for weight in weights if wanted(weight)}


def _read(layer: Layer) -> Before:
    """What a module holds, copied to the CPU."""
    parts = {role: tensor.detach().cpu().clone() for role, tensor in layer.parts.items()}
    norm = (parts["g"], parts["v"]) if "g" in parts else None
    bias = layer.bias.detach().cpu().clone()
    return Before(effective(parts, layer.axis), bias, norm)
