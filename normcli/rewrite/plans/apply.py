"""Which weights get a norm, and as which tensors it is stored."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from normcli.errors import UsageError
from normcli.records import Given, NormState, Spelling, Step
from normcli.reparam import spelled
from normcli.reparam.spelling import TARGETS, stacked
from normcli.rewrite.plans.choice import asked_for, checked_axis, is_named, spelling
from normcli.rewrite.plans.plan import Planned
from normcli.selection import axis_choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normcli.records import Axis, Weight
    from normcli.rewrite.options import Options

_NATIVE = {"float16", "bfloat16", "float32", "float64"}
_FAMILIES = ("spectral", "weight")
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
    states = (each for each in weights if isinstance(each, NormState))
    found = {each.layout for each in states if each.family in _FAMILIES} & set(TARGETS)
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
    assert not isinstance(weight, NormState)  # noqa: S101  `_unfit` has left it
    # tied weights that are divided alike stay tied
    tie = f"{weight.storage} by rows {axis}" if weight.storage else ""
    ref = replace(weight, storage=tie, note="")
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
