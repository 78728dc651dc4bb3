"""Which states are spelled in another way, and which tensors of theirs have to be made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.errors import RefusedError
from normcli.formats.spelling import quoted
from normcli.records import Given, NormState, Step
from normcli.reparam import spelled
from normcli.reparam.spelling import TARGETS
from normcli.rewrite.plans.choice import asked_for, checked_axis, parts_of, planned_axis, spelling
from normcli.rewrite.plans.plan import Planned, renamed
from normcli.rewrite.plans.remove import check_known
from normcli.selection import axis_choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normcli.records import Axis, Weight
    from normcli.rewrite.options import Options

# Layouts that nothing of today loads: converted whatever the target.
_OLD = ("legacy-v0", "weight-bar")


def plan(weights: Sequence[Weight], options: Options) -> Planned:
    """A step for every state that the target spells in another way.

    Raises:
        CheckpointError: A state that nobody can tell, where a layout was asked for.
        RefusedError: A state that the target has no spelling of.
    """
    axis_of = axis_choice(options.dims)
    planned = Planned()
    for weight in asked_for(weights, options):
        if not isinstance(weight, NormState) or weight.family == "pruning":
            continue
        layout = options.layout or ("legacy" if weight.layout in _OLD else weight.layout)
        if options.layout is None and weight.family == "unknown":
            continue
        axis = checked_axis(weight, axis_of(weight))
        check_known(weight, axis)
        if layout == weight.layout:
            continue
        _check_spelling(weight, layout)
        planned.steps.append(_step(weight, layout, axis))
    return planned


def _check_spelling(state: NormState, layout: str) -> None:
    hint = f"leave it as it is with --exclude {quoted(state.name)}, or remove the norms first"
    if state.stack:
        message = f"{quoted(state.name)} is under {spelling(state)}: a stack has no {layout} form"
        raise RefusedError(message, hint=hint)
    if state.family == "spectral" and len(state.shape) < 2:
        message = (
            f"{quoted(state.name)} is a vector: torch's parametrization keeps no u and v of it"
        )
        raise RefusedError(message, hint=hint)


def _step(state: NormState, layout: str, axis: Axis | str) -> Step:
    known = planned_axis(state, axis)
    rows = state.axes[0] if isinstance(known, str) else known
    respelling = state.layout in TARGETS
    result = spelled(state, state.family, layout, rows, old_parts=respelling)
    if respelling:
        gives, change = renamed(state.parts, result.parts), "none: keys only"
    else:
        gives, change = _modernized(state, result), _MODERN[state.layout]
    before, after = spelling(state), spelling(result)
    return Step("convert", state, before, after, known, parts_of(state), gives, change, result)


_MODERN = {
    "legacy-v0": "v solved from u and the quotient",
    "weight-bar": "u and v after one step",
    "biggan": "u and v after one step",
    "mimicry": "u and v after one step",
}


def _modernized(state: NormState, result: NormState) -> tuple[Given, ...]:
    """The original as it is, u and v behind it."""
    old = state.parts
    place = old["original"].name
    kept = {"original": place}
    if state.layout == "legacy-v0":
        kept["u"] = old["u"].name
    return tuple(Given(ref, place, kept.get(role, "")) for role, ref in result.parts.items())
