"""Which norms go, and where the plain weight stands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from normcli.errors import CheckpointError, UsageError
from normcli.formats.spelling import quoted
from normcli.records import Given, NormState, Spelling, Step
from normcli.reparam import problem
from normcli.reparam.spelling import line
from normcli.rewrite.plans.choice import (
    asked_for,
    checked_axis,
    is_named,
    parts_of,
    planned_axis,
    spelling,
)
from normcli.rewrite.plans.plan import Planned
from normcli.selection import axis_choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normcli.records import Axis, TensorRef, Weight
    from normcli.rewrite.options import Options


def plan(weights: Sequence[Weight], options: Options) -> Planned:
    """A step for every norm state.

    Raises:
        CheckpointError: A state from which no effective weight can be told.
        UsageError: A weight norm is to be restored.
    """
    axis_of = axis_choice(options.dims)
    planned = Planned()
    for weight in asked_for(weights, options):
        if not isinstance(weight, NormState):
            if is_named(weight, options):
                planned.leave(weight, "it is under no norm", options)
            continue
        if weight.family == "pruning":
            planned.leave(weight, "pruned, which is no norm", options)
            continue
        axis = checked_axis(weight, axis_of(weight))
        check_known(weight, axis)
        planned.steps.append(_step(weight, axis, options))
    return planned


def check_known(state: NormState, axis: Axis | str = "auto") -> None:
    """Raise where nobody can tell what the layer computes with.

    Raises:
        CheckpointError: With the reason.
    """
    trouble = problem(state, axis)
    if trouble:
        raise CheckpointError(
            f"{quoted(state.name)}: {trouble}",
            hint=f"leave it as it is with --exclude {quoted(state.name)}",
        )


def _step(state: NormState, axis: Axis | str, options: Options) -> Step:
    parts = parts_of(state)
    families = {norm.family for norm in state.stack or (state,)}
    original = state.stack[0].parts.get("original") if state.stack else state.parts.get("original")
    kept, change = "", "weight = effective weight, from the stored u and v"
    if options.restore:
        if "weight" in families or original is None:
            raise UsageError(
                f"{quoted(state.name)} is under weight norm, which keeps no original",
                where="--restore",
                hint="without --restore the effective weight is written",
            )
        kept, change = original.name, "weight = original"
    elif options.exact and "spectral" in families:
        change = "weight = original ÷ exact σ₁"
    elif "spectral" not in families:
        change = "weight = g·v/‖v‖"
    elif state.layout == "legacy-v0":
        change = "weight = the stored quotient"
    result = _result(state, original if kept else None, parts)
    place = max(parts, key=lambda part: part.nbytes)  # among shards the sizes stay as they are
    gives = (Given(result, place.name, kept=kept),)
    known = planned_axis(state, axis)
    return Step("remove", state, spelling(state), Spelling(), known, parts, gives, change, result)


def _result(state: NormState, original: TensorRef | None, parts: Sequence[TensorRef]) -> TensorRef:
    """The header line of the plain weight; parts that are all tied give tied weights."""
    dtype = original.dtype if original is not None else _dtype(parts)
    ref = line(state.section, state.key, state.shape, dtype)
    ties = [part.storage for part in parts]
    return replace(ref, storage=" ".join(ties)) if all(ties) else ref


def _dtype(parts: Sequence[TensorRef]) -> str:
    """What torch computes the effective weight in: the widest dtype of the parts that it reads."""
    names = {"float32" if part.dtype.startswith("float8") else part.dtype for part in parts}
    floating = {name for name in names if name.startswith(("float", "bfloat", "complex"))}
    if len(floating) == 1:
        return floating.pop()
    double = bool(floating & {"float64", "complex128"})
    if any(name.startswith("complex") for name in floating):
        return "complex128" if double else "complex64"
    return "float64" if double else "float32"  # float16 beside bfloat16 is float32 too
