"""`apply`: a norm on plain weights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from normcli import linalg
from normcli.errors import UsageError
from normcli.records import Change, Given, NormState, SpectralNorm, Spelling, Step
from normcli.reparam import decode, spelled
from normcli.reparam.spelling import TARGETS, line, stacked
from normcli.reparam.weight import troubles
from normcli.rewrite.choice import asked_for, checked_axis, is_named, spelling
from normcli.rewrite.plan import Planned
from normcli.rewrite.settled import (
    Left,
    Outcome,
    Settled,
    is_finite,
    largest_change,
    without_vectors,
)
from normcli.selection import axis_choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from normcli.records import Axis, Weight
    from normcli.rewrite.options import Options
    from normcli.rewrite.settled import Read

_NATIVE = {"float16", "bfloat16", "float32", "float64"}
_NOT_WEIGHTS = ("scale", "zero_point", "mask")  # what stands beside a quantized or a pruned weight


def plan(weights: Sequence[Weight], options: Options) -> Planned:
    """A step for every weight that can have the norm.

    Raises:
        UsageError: Options that contradict each other, or a weight named that cannot have it.
    """
    layout = _layout(weights, options)
    axis_of = axis_choice(options.dims)
    planned = Planned()
    for weight in asked_for(weights, options):
        if not _is_weight(weight):
            if is_named(weight, options):
                planned.leave(weight, "not a floating weight of two axes or more", options)
            continue
        reason = _unfit(weight, layout, options)
        if reason:
            planned.leave(weight, reason, options)
        else:
            axis = checked_axis(weight, axis_of(weight))
            planned.steps.append(_step(weight, layout, _rows(axis, options), options))
    return planned


def _layout(weights: Sequence[Weight], options: Options) -> str:
    """The layout asked for, else that of the states in the file, else torch's newer one."""
    if options.layout is not None:
        return options.layout
    found = {each.layout for each in weights if isinstance(each, NormState)} & set(TARGETS)
    if len(found) == 2:
        raise UsageError(
            "the file holds legacy and parametrized states, expected one layout to follow",
            where="--layout",
            hint="say which: --layout legacy or --layout parametrized",
        )
    return found.pop() if found else "parametrized"


def _is_weight(weight: Weight) -> bool:
    """Floating, two axes or more, and a key that ends as weights of layers do."""
    leaf = weight.key.rpartition(".")[2]
    named = leaf in ("weight", "in_proj_weight") or leaf.startswith("weight_")
    named = named and not any(word in leaf for word in _NOT_WEIGHTS)
    return named and len(weight.shape) > 1 and weight.dtype in _NATIVE


def _unfit(weight: Weight, layout: str, options: Options) -> str:
    """Why a weight cannot have the norm, by its header; empty where it can."""
    if 0 in weight.shape:
        return "has no entries"
    if not isinstance(weight, NormState):
        return ""
    if weight.problem or not options.stack:
        return weight.problem or f"already under a norm ({spelling(weight)})"
    if options.norm == "weight":
        return "torch has no weight norm on top of another norm"
    if weight.layout != "parametrized" or layout != "parametrized":
        return f"only parametrized norms stack, this one is {spelling(weight)}, to be {layout}"
    return ""


def _rows(axis: Axis | str, options: Options) -> Axis:
    if isinstance(axis, str):
        return 0
    if axis is None and options.norm == "spectral":
        hint = "one norm over the whole tensor is for --weight"
        raise UsageError("spectral norm needs a row axis, not none", where="--dim", hint=hint)
    return axis


def _step(weight: Weight, layout: str, axis: Axis, options: Options) -> Step:
    if layout == "plain":
        return _baked(weight, axis, options)
    if isinstance(weight, NormState):
        return _on_top(weight, axis or 0)
    state = spelled(weight, options.norm, layout, axis)
    same = "original" if options.norm == "spectral" else "v"
    gives = tuple(
        Given(ref, weight.name, kept=weight.name if role == same else "")
        for role, ref in state.parts.items()
    )
    change = "weight ÷ σ₁; original kept" if options.norm == "spectral" else "none; g = ‖W‖, v = W"
    if options.norm == "spectral" and options.iterations is not None:
        change = f"weight ÷ σ of {options.iterations} power steps; original kept"
    return Step("apply", weight, Spelling(), spelling(state), axis, (weight,), gives, change, state)


def _baked(weight: Weight, axis: Axis, options: Options) -> Step:
    ref = line(weight.section, weight.key, weight.shape, weight.dtype)
    assert not isinstance(weight, NormState)  # noqa: S101  `_unfit` has left it
    change = "weight ÷ σ₁"
    if options.clip is not None:
        change = f"σ₁ above {options.clip:g} scaled down to it"
    elif options.coefficient is not None:
        change = f"σ₁ scaled to {options.coefficient:g}"
    gives = (Given(ref, weight.name),)
    return Step("apply", weight, Spelling(), Spelling(), axis, (weight,), gives, change, ref)


def _on_top(state: NormState, axis: int) -> Step:
    result = stacked(state, axis)
    last = list(state.parts.values())[-1]
    old = {part.name for part in state.parts.values()}
    new = [part for part in result.parts.values() if part.name not in old]
    gives = (Given(last, last.name, kept=last.name), *(Given(ref, last.name) for ref in new))
    before, after = spelling(state), spelling(result)
    change = "weight ÷ its σ₁; the norms below kept"
    return Step("apply", state, before, after, axis, (last,), gives, change, result)


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
    change = Change(axis, largest_change=largest_change(weight, after.weight))
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
    made = {top.parts[role].name: vector.to(weight.dtype) for role, vector in (("u", u), ("v", v))}
    after = decode(state, {**parts, **made}, axis)
    if not is_finite(after.weight) and not options.allow_nonfinite:
        return Left("its effective weight would hold NaN or infinite entries")
    change = Change(
        axis,
        sigma_after=after.values.sigma_stored,
        spectral_norm=norm.value if norm else None,
        largest_change=largest_change(weight, after.weight),
        notes=_unconverged(after.values.sigma_stored),
    )
    return Settled(change, made)


def _unconverged(sigma: float | None) -> tuple[str, ...]:
    if sigma is None or sigma > 0:
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
        return Left(f"its σ₁ is {norm.value:.6g}, not above {options.clip:g}")
    divisor = norm.value / (1.0 if goal is None else goal)
    after = weight / divisor
    if not is_finite(after) and not options.allow_nonfinite:
        return Left("the result would hold NaN or infinite entries")
    change = Change(axis, spectral_norm=norm.value, largest_change=largest_change(weight, after))
    name = step.gives[0].ref.name
    return Settled(change, later={name: partial(_divided, read, step.weight.name, divisor)})


def _divided(read: Read, name: str, divisor: float) -> Tensor:
    return read(name) / divisor


def found(matrix: Tensor, options: Options) -> SpectralNorm:
    """σ₁ with its singular vectors, as the options ask for it."""
    return linalg.spectral_norm(matrix, rtol=options.rtol, seed=options.seed, vectors=True)


def _state(step: Step) -> NormState:
    assert isinstance(step.result, NormState)  # noqa: S101  the planner has made it
    return step.result
