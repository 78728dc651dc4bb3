"""`refresh`: u and v of spectral norms computed anew, the original untouched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from normcli import linalg
from normcli.records import Change, Given, NormState, Step
from normcli.reparam import decode, read_state
from normcli.rewrite.apply import found
from normcli.rewrite.choice import asked_for, checked_axis, is_named, spelling
from normcli.rewrite.plan import Planned
from normcli.rewrite.remove import check_known
from normcli.rewrite.settled import (
    Left,
    Open,
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
    from normcli.reparam import Decoded
    from normcli.rewrite.options import Options
    from normcli.rewrite.settled import Read

_MADE = ("u", "v", "sigma")  # roles that are computed anew


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
    parts = [norm.parts[role] for norm in norms for role in _MADE if role in norm.parts]
    gives = tuple(Given(part, part.name) for part in parts)
    known = state.axes[0] if axis == "auto" and len(state.axes) == 1 else axis
    change = "u and v converged"
    if options.iterations is not None:
        change = f"u and v after {options.iterations} more power steps"
    same = spelling(state)
    return Step("refresh", state, same, same, known, tuple(parts), gives, change, state)


def settle(step: Step, read: Read, options: Options) -> Outcome:
    """New u and v of every spectral norm of the state, each on what the norms below it give."""
    state = step.weight
    assert isinstance(state, NormState)  # noqa: S101  the planner takes nothing else
    before = read_state(read, state, step.axis)
    if not before.certain:
        return Open()
    norms = state.stack or (state,)
    parts = {part.name: read(part.name) for norm in norms for part in norm.parts.values()}
    made: dict[str, Tensor] = {}
    below: Tensor | None = None
    sigma_one = None
    for norm, done in zip(norms, before.stack or (before,), strict=True):
        own = parts if below is None else {**parts, norm.parts["original"].name: below}
        if norm.family == "spectral":
            new, sigma_one = _vectors(norm, decode(norm, own, done.axis), options)
            if isinstance(new, Left):
                return new
            made |= new
            own = {**own, **new}
            parts |= new
        below = decode(norm, own, done.axis).weight
    after = decode(state, parts, before.axis)
    if not is_finite(after.weight) and not options.allow_nonfinite:
        return Left("its effective weight would hold NaN or infinite entries")
    change = Change(
        axis=before.axis,
        sigma_before=before.values.sigma_stored,
        sigma_after=after.values.sigma_stored,
        spectral_norm=sigma_one,
        largest_change=largest_change(before.weight, after.weight),
        notes=before.notes,
    )
    return Settled(change, made)


def _vectors(
    norm: NormState, done: Decoded, options: Options
) -> tuple[dict[str, Tensor] | Left, float | None]:
    """(name of a part → its new values, exact σ₁ where it was found)."""
    original, vectors = done.original, done.vectors
    assert original is not None  # noqa: S101  a spectral norm has an original
    assert vectors is not None  # noqa: S101  and u
    matrix = linalg.as_matrix(original, done.axis)
    if options.iterations is None:
        norm_found = found(matrix, options)
        if without_vectors(norm_found):
            return Left(without_vectors(norm_found)), None
        u, v, value = norm_found.u, norm_found.v, norm_found.value
    else:
        legacy = norm.layout != "parametrized"
        steps = options.iterations
        u, v = linalg.power_steps(matrix, iterations=steps, start=vectors, legacy=legacy).end
        value = None
    values = {"u": u, "v": v}
    refs = norm.parts
    if "sigma" in refs:
        values["sigma"] = (u.conj() @ (matrix.to(u.dtype) @ v)).real
    return {
        refs[role].name: values[role].reshape(refs[role].shape).to(_dtype(refs[role].dtype))
        for role in values
        if role in refs
    }, value


def _dtype(name: str) -> torch.dtype:
    dtype = getattr(torch, name)
    assert isinstance(dtype, torch.dtype)  # noqa: S101  the part was read with it
    return dtype
