"""Three passes over a model: see what it does, initialize layer by layer, see what it does now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from normcli.errors import UsageError
from normcli.formats.spelling import quoted
from normcli.initialization.initializing import Call, initialize_layer, put
from normcli.initialization.moments import unit_moments
from normcli.initialization.units import candidates
from normcli.records import LayerInit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from normcli.initialization.initializing import Initialized
    from normcli.initialization.layers import Layer
    from normcli.initialization.moments import UnitMoments
    from normcli.initialization.passes import Pass
    from normcli.initialization.stored import Stored

_TOLD = 3  # weights in a sentence about those that are left
_MEAN, _STD = 1e-5, 1e-4  # what is reached in float32 where the inputs vary as much as they are


@dataclass(slots=True)
class Run:
    """What became of every layer.

    Attributes:
        done: Key of the weight → what is stored of it now, in the order in which the model runs.
        layers: Key of the weight → the record, likewise.
        left: Key of the weight → why it is as it was.
    """

    done: dict[str, Initialized] = field(default_factory=dict)
    layers: dict[str, LayerInit] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)


def initialized(
    how: Pass,
    layers: Mapping[str, Layer],
    stored: Mapping[str, Stored],
    unfit: Mapping[str, str],
    *,
    strict: bool,
) -> Run:
    """Initialize the layers of a model, in place.

    Where it fails the model is as it was.

    Args:
        how: The model and its batch.
        layers: Key of the weight → layer, as they are asked for.
        stored: The same keys → the form in which the scaled layer is stored.
        unfit: Key → reason, of weights that were asked for and have no such layer.
        strict: Whether a weight that is left is an error.

    Raises:
        UsageError: The model fails, runs its layers otherwise each time, or there is nothing to
            initialize; with `strict` a weight is left.
    """
    run = Run(left=dict(unfit))
    calls = _looked_at(how, layers)
    once = {}
    for key, layer in layers.items():
        times = calls.counts.get(key, 0)
        if times == 1:
            once[key] = layer
        else:
            run.left[key] = f"its layer is used {times} times" if times else "its layer never ran"
    try:
        _initialize(how, layers, once, stored, run)
        _check_left(run, strict=strict)
        _look_again(how, layers, once, calls, run)
    except BaseException:
        for key, each in run.done.items():
            put(layers[key], each.old)
        raise
    return run


@dataclass(slots=True)
class _Calls:
    """Of each layer: how often it ran, and moments for each place where its units may be."""

    counts: dict[str, int] = field(default_factory=dict)
    moments: dict[str, dict[int, UnitMoments]] = field(default_factory=dict)

    def count(self, layer: Layer) -> bool:
        """Whether this is its first call."""
        self.counts[layer.key] = self.counts.get(layer.key, 0) + 1
        return self.counts[layer.key] == 1

    def at(self, key: str, channel: int) -> UnitMoments:
        """Moments of the first call.

        Raises:
            UsageError: Its output had no such axis.
        """
        found = self.moments.get(key, {}).get(channel)
        if found is None:
            message = f"the layer of {quoted(key)} gives another kind of output each time"
            raise UsageError(message, hint=f"leave it out with --exclude {quoted(key)}")
        return found


def _looked_at(how: Pass, layers: Mapping[str, Layer]) -> _Calls:
    calls = _Calls()

    def seen(layer: Layer, output: object, _again: object) -> None:
        if not calls.count(layer) or not isinstance(output, torch.Tensor):
            return
        if output.is_floating_point() and output.numel():
            channels = {units.channel for units in candidates(layer, output)}
            calls.moments[layer.key] = {each: unit_moments(output, each) for each in channels}

    how.run(layers, seen)
    return calls


def _initialize(
    how: Pass,
    layers: Mapping[str, Layer],
    once: Mapping[str, Layer],
    stored: Mapping[str, Stored],
    run: Run,
) -> None:
    calls = _Calls()

    def seen(layer: Layer, output: object, again: Callable[[], Any]) -> Tensor | None:
        if not calls.count(layer) or layer.key not in once:
            return None
        result = initialize_layer(Call(layer, output, again), stored[layer.key])
        if isinstance(result, str):
            run.left[layer.key] = result
            return None
        run.done[layer.key], new_output = result
        return new_output

    how.run(layers, seen)
    _check_calls(layers, once, calls)


def _check_calls(layers: Mapping[str, Layer], once: Mapping[str, Layer], calls: _Calls) -> None:
    """Raise where a layer that ran once did not do so again, or another one did.

    Raises:
        UsageError: The way through the model depends on the numbers.
    """
    for key in layers:
        times = calls.counts.get(key, 0)
        if (times == 1) != (key in once):
            expected = "once" if key in once else "not once"
            found = "once" if times == 1 else f"{times} times"
            raise UsageError(
                f"the model ran the layer of {quoted(key)} {expected} before its layers were "
                f"initialized, then {found}",
                hint="the way through it must not depend on the numbers: leave the layer out with "
                f"--exclude {quoted(key)}",
            )


def _check_left(run: Run, *, strict: bool) -> None:
    if run.done and not (strict and run.left):
        return
    told = "; ".join(f"{quoted(key)}: {reason}" for key, reason in list(run.left.items())[:_TOLD])
    more = f"; and {len(run.left) - _TOLD} more" if len(run.left) > _TOLD else ""
    if run.done:
        hint = "without --strict they are left as they are"
        count = f"{len(run.left)} of {len(run.left) + len(run.done)} weights"
        raise UsageError(f"{count} cannot be initialized: {told}{more}", hint=hint)
    raise UsageError(f"nothing to initialize: {told or 'no weight was asked for'}{more}")


def _look_again(
    how: Pass, layers: Mapping[str, Layer], once: Mapping[str, Layer], before: _Calls, run: Run
) -> None:
    after = _looked_at(how, layers)
    _check_calls(layers, once, after)
    for key, each in run.done.items():
        was, now = (calls.at(key, each.units.channel) for calls in (before, after))
        run.layers[key] = LayerInit(
            name=key,
            kind=layers[key].kind,
            shape=layers[key].weight_shape,
            units=len(now.mean),
            count=now.count,
            before=was.record(),
            after=now.record(),
            notes=_inexact(now, each.parts),
        )


def _inexact(now: UnitMoments, parts: Mapping[str, Tensor]) -> tuple[str, ...]:
    """That mean or standard deviation is not 0 or 1 as well as the dtypes usually allow."""
    eps = max(now.eps, *(torch.finfo(part.dtype).eps for part in parts.values()))
    room = max(1.0, eps / torch.finfo(torch.float32).eps)
    mean, std = float(now.mean.abs().max()), float((now.std - 1).abs().max())
    if mean <= _MEAN * room and std <= _STD * room:
        return ()
    off = f"|mean| up to {mean:.2g}, |std − 1| up to {std:.2g} afterwards"
    return (f"{off}: its inputs vary little, or the model computes otherwise each time",)
