"""Which spectral norms get a new u and v."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.records import Given, NormState, Step
from normcli.rewrite.plans.choice import asked_for, checked_axis, is_named, planned_axis, spelling
from normcli.rewrite.plans.plan import Planned
from normcli.rewrite.plans.remove import check_known
from normcli.selection import axis_choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normcli.records import Axis, Weight
    from normcli.rewrite.options import Options

MADE = ("u", "v", "sigma")  # roles that are computed anew


def plan(weights: Sequence[Weight], options: Options) -> Planned:
    """A step for every weight under a spectral norm.

    Raises:
        CheckpointError: A state whose u and v fit no axis.
        UsageError: A weight named that has no u.
    """
    axis_of = axis_choice(options.dims)
    planned = Planned()
    for weight in asked_for(weights, options):
        norms = (weight.stack or (weight,)) if isinstance(weight, NormState) else ()
        if not isinstance(weight, NormState) or not any(n.family == "spectral" for n in norms):
            if is_named(weight, options):
                planned.leave(weight, "it is under no spectral norm", options)
            continue
        axis = checked_axis(weight, axis_of(weight))
        check_known(weight, axis)
        reason = _unfit(weight)
        if reason:
            planned.leave(weight, reason, options)
        else:
            planned.steps.append(_step(weight, axis, options))
    return planned


def _unfit(state: NormState) -> str:
    if state.layout == "legacy-v0":
        return "version 0 keeps no v; normcli convert brings it up to date"
    if 0 in state.shape:
        return "has no entries"
    if state.dtype.startswith("complex") and state.layout != "parametrized":
        return "complex: the hook does not conjugate u, so no u and v make its σ the largest one"
    return ""


def _step(state: NormState, axis: Axis | str, options: Options) -> Step:
    norms = [norm for norm in state.stack or (state,) if norm.family == "spectral"]
    parts = [norm.parts[role] for norm in norms for role in MADE if role in norm.parts]
    gives = tuple(Given(part, part.name) for part in parts)
    known = planned_axis(state, axis)
    change = "u and v converged"
    if options.iterations is not None:
        change = f"u and v after {options.iterations} more power steps"
    same = spelling(state)
    return Step("refresh", state, same, same, known, tuple(parts), gives, change, state)
