"""What a norm that is put on needs: g, or u and v, or the weight divided."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from normcli import linalg
from normcli.records import Change, NormState
from normcli.reparam import decode
from normcli.reparam.spectral import stored_sigma
from normcli.reparam.weight import troubles
from normcli.rewrite.values.settled import (
    Left,
    Settled,
    found,
    is_finite,
    largest_change,
    without_vectors,
)

if TYPE_CHECKING:
    from torch import Tensor

    from normcli.records import Step
    from normcli.rewrite.options import Options
    from normcli.rewrite.values.settled import Outcome, Read


def settle(step: Step, read: Read, options: Options) -> Outcome:
    """The values of a step of `plan`."""
    if options.norm == "weight":
        return _weight_normed(step, read, options)
    return (
        _baking(step, read, options)
        if step.result is not None and not isinstance(step.result, NormState)
        else _spectral(step, read, options)
    )


def _weight_normed(step: Step, read: Read, options: Options) -> Settled | Left:
    """G = ‖W‖ over all axes but the one, bit for bit what torch's weight norm begins with."""
    weight, state = read(step.weight.name), _state(step)
    axis = state.axes[0]
    g = torch.norm_except_dim(weight, 2, -1 if axis is None else axis)
    dead = troubles(weight, g, axis)
    if dead and not options.allow_nonfinite:
        return Left(dead[0])
    after = decode(state, {state.parts["g"].name: g, state.parts["v"].name: weight})
    if not is_finite(after.weight) and not options.allow_nonfinite:
        return Left("holds NaN or infinite entries, or its norm is beyond its dtype")
    delta = largest_change(weight, after.weight) if options.thorough else None
    change = Change(axis, largest_change=delta)
    return Settled(change, {state.parts["g"].name: g})


def _spectral(step: Step, read: Read, options: Options) -> Settled | Left:
    """U and v: the converged top pair, or what so many of torch's power steps give."""
    state = _state(step)
    top = state.stack[-1] if state.stack else state
    parts = {given.ref.name: read(given.kept) for given in step.gives if given.kept}
    if isinstance(step.weight, NormState):
        parts |= {ref.name: read(ref.name) for ref in step.weight.parts.values()}
        weight = decode(step.weight, parts).weight
    else:
        weight = parts[top.parts["original"].name]
    axis = int(step.axis) if isinstance(step.axis, int) else 0
    matrix = linalg.as_matrix(weight, axis)
    norm = None
    if options.iterations is None:
        norm = found(matrix, options)
        if without_vectors(norm):
            return Left(without_vectors(norm))
        u, v = norm.u, norm.v
    else:
        legacy = state.layout != "parametrized"
        steps = options.iterations
        u, v = linalg.power_steps(matrix, iterations=steps, legacy=legacy, seed=options.seed).end
    u, v = u.to(weight.dtype), v.to(weight.dtype)
    sigma = stored_sigma(state.layout, weight, axis, u, v)
    if not _stays_finite(weight, sigma) and not options.allow_nonfinite:
        return Left("its effective weight would hold NaN or infinite entries")
    change = Change(
        axis,
        sigma_after=float(sigma),
        spectral_norm=norm.value if norm else None,
        largest_change=largest_change(weight, weight / sigma) if options.thorough else None,
        notes=_unconverged(float(sigma)),
    )
    return Settled(change, {top.parts["u"].name: u, top.parts["v"].name: v})


def _stays_finite(weight: Tensor, divisor: Tensor | float) -> bool:
    """Whether the quotient holds no NaN and no infinity: its largest entries tell."""
    return all(bool((end / divisor).isfinite()) for end in torch.aminmax(weight))


def _unconverged(sigma: float) -> tuple[str, ...]:
    if sigma > 0:
        return ()
    return (f"σ is {sigma:.4g}: not converged, the layer would turn its sign",)


def _baking(step: Step, read: Read, options: Options) -> Settled | Left:
    """W·C/σ₁, of all weights or of those whose σ₁ exceeds the clip."""
    weight = read(step.weight.name)
    axis = int(step.axis) if isinstance(step.axis, int) else 0
    norm = found(linalg.as_matrix(weight, axis), options)
    if without_vectors(norm):
        return Left(without_vectors(norm))
    goal = options.coefficient if options.clip is None else options.clip
    if options.clip is not None and norm.value <= options.clip:
        return Left(f"its σ₁ is {norm.value:.6g}, not above {options.clip:g}", wanted=True)
    divisor = norm.value / (1.0 if goal is None else goal)
    if not _stays_finite(weight, divisor) and not options.allow_nonfinite:
        return Left("the result would hold NaN or infinite entries")
    delta = largest_change(weight, weight / divisor) if options.thorough else None
    change = Change(axis, spectral_norm=norm.value, largest_change=delta)
    name = step.gives[0].ref.name
    return Settled(change, later={name: partial(_divided, read, step.weight.name, divisor)})


def _divided(read: Read, name: str, divisor: float) -> Tensor:
    return read(name) / divisor


def _state(step: Step) -> NormState:
    assert isinstance(step.result, NormState)  # noqa: S101  the planner has made it
    return step.result
