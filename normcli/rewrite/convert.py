"""`convert`: the same norms under other keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from normcli import linalg
from normcli.errors import RefusedError
from normcli.formats.spelling import quoted
from normcli.records import Change, Given, NormState, Step
from normcli.reparam import decode, read_state, spelled
from normcli.reparam.spelling import TARGETS
from normcli.rewrite.choice import asked_for, checked_axis, parts_of, spelling
from normcli.rewrite.plan import Planned, renamed
from normcli.rewrite.remove import check_known
from normcli.rewrite.settled import Left, Open, Outcome, Settled, is_finite, largest_change
from normcli.selection import axis_choice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from normcli.records import Axis, Weight
    from normcli.reparam import Decoded
    from normcli.rewrite.options import Options
    from normcli.rewrite.settled import Read

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
    known = state.axes[0] if axis == "auto" and len(state.axes) == 1 else axis
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


def settle(step: Step, read: Read, options: Options) -> Outcome:
    """What has to be computed: nothing for keys alone, u and v for the layouts of old."""
    state, result = step.weight, step.result
    assert isinstance(state, NormState)  # noqa: S101  the planner takes nothing else
    assert isinstance(result, NormState)  # noqa: S101  and gives nothing else
    axis = None if isinstance(step.axis, str) else step.axis
    if state.layout in TARGETS and not options.thorough:
        return Settled(Change(axis))
    before = read_state(read, state, step.axis)
    if not before.certain and state.layout not in TARGETS:
        return Open()
    made = {} if state.layout in TARGETS else _vectors(state, result, before)
    kept = {given.ref.name: read(given.kept) for given in step.gives if given.kept}
    after = decode(result, {**kept, **made}, before.axis)
    if made and not is_finite(after.weight) and not options.allow_nonfinite:
        return Left("its effective weight would hold NaN or infinite entries")
    change = Change(
        axis=before.axis if state.family == "spectral" else axis,
        sigma_before=before.values.sigma_stored,
        sigma_after=after.values.sigma_stored,
        largest_change=largest_change(before.weight, after.weight),
        notes=before.notes,
    )
    return Settled(change, made)


def _vectors(state: NormState, result: NormState, before: Decoded) -> Mapping[str, Tensor]:
    """U and v with which torch's eval mode gives what the old module computes with."""
    original, vectors = before.original, before.vectors
    assert original is not None  # noqa: S101  a spectral norm has an original
    assert vectors is not None  # noqa: S101  and u
    matrix = linalg.as_hooked(linalg.as_matrix(original, before.axis))
    dtype = original.dtype
    if state.layout == "legacy-v0":
        sigma = before.values.sigma_stored
        assert sigma is not None  # noqa: S101  the quotient gives it
        return {result.parts["v"].name: _solved(matrix, vectors[0], sigma).to(dtype)}
    u, v = linalg.power_step(matrix, *vectors, legacy=True)
    return {result.parts["u"].name: u.to(dtype), result.parts["v"].name: v.to(dtype)}


def _solved(matrix: Tensor, u: Tensor, sigma: float) -> Tensor:
    """V with Wv ∝ u in the least-squares sense and uᵀWv = σ, as torch's hook solves it on loading.

    In float64; `torch.nn.utils.spectral_norm`, `_solve_v_and_rescale`.
    """
    wide, left = matrix.to(torch.float64), u.to(torch.float64)
    v: Tensor = torch.linalg.lstsq(wide, left[:, None], driver="gelsd").solution[:, 0]
    return v * (sigma / torch.dot(left, torch.mv(wide, v)))
