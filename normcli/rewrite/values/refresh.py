"""New u and v for spectral norms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from normcli import linalg
from normcli.records import Change, NormState
from normcli.reparam import decode, read_state
from normcli.rewrite.plans.choice import parts_of
from normcli.rewrite.values.settled import (
    Left,
    Open,
    Settled,
    found,
    is_finite,
    largest_change,
    without_vectors,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from normcli.records import Step
    from normcli.reparam import Decoded
    from normcli.rewrite.options import Options
    from normcli.rewrite.values.settled import Outcome, Read


def settle(step: Step, read: Read, options: Options) -> Outcome:
    """New u and v of every spectral norm of the state, each on what the norms below it give."""
    state = step.weight
    assert isinstance(state, NormState)  # noqa: S101  the planner takes nothing else
    before = read_state(read, state, step.axis)
    if not before.certain:
        return Open()
    parts = {part.name: read(part.name) for part in parts_of(state)}
    made: dict[str, Tensor] = {}
    exact = None
    for steps in _rounds(state, options):
        done = _round(state, before, {**parts, **made}, steps, options)
        if isinstance(done, Left):
            return done
        made |= done.made
        exact = done.exact
    after = decode(state, {**parts, **made}, before.axis)
    if not is_finite(after.weight) and not options.allow_nonfinite:
        return Left("its effective weight would hold NaN or infinite entries")
    change = Change(
        axis=before.axis,
        sigma_before=before.values.sigma_stored,
        sigma_after=after.values.sigma_stored,
        spectral_norm=exact,
        largest_change=largest_change(before.weight, after.weight) if options.thorough else None,
        notes=tuple(f"before: {note}" for note in before.notes),
    )
    return Settled(change, made)


@dataclass(frozen=True, slots=True)
class _Round:
    """New parts by name, and the exact σ₁ of the last norm where it was found."""

    made: Mapping[str, Tensor]
    exact: float | None


def _rounds(state: NormState, options: Options) -> tuple[int | None, ...]:
    """Power steps of each round; None converges. Torch takes one of every norm a forward pass."""
    steps = options.iterations
    return (steps,) if not (state.stack and steps) else (1,) * steps


def _round(
    state: NormState,
    before: Decoded,
    parts: Mapping[str, Tensor],
    steps: int | None,
    options: Options,
) -> _Round | Left:
    """One pass from the norm that acts first to the last one."""
    made: dict[str, Tensor] = {}
    below: Tensor | None = None
    exact = None
    for norm, old in zip(state.stack or (state,), before.stack or (before,), strict=True):
        own = {**parts} if below is None else {**parts, norm.parts["original"].name: below}
        if norm.family == "spectral":
            done = _vectors(norm, decode(norm, own, old.axis), steps, options)
            if isinstance(done, Left):
                return done
            own |= done.made
            made |= done.made
            exact = done.exact
        if state.stack:
            below = decode(norm, own, old.axis).weight
    return _Round(made, exact)


def _vectors(norm: NormState, done: Decoded, steps: int | None, options: Options) -> _Round | Left:
    """New u and v of one norm, in the shapes and dtypes of the old ones."""
    original, vectors = done.original, done.vectors
    assert original is not None  # noqa: S101  a spectral norm has an original
    assert vectors is not None  # noqa: S101  and u
    matrix = linalg.as_matrix(original, done.axis)
    exact = None
    if steps is None:
        top = found(matrix, options)
        if without_vectors(top):
            return Left(without_vectors(top))
        u, v, exact = top.u, top.v, top.value
    else:
        legacy = norm.layout != "parametrized"
        u, v = linalg.power_steps(matrix, iterations=steps, start=vectors, legacy=legacy).end
    values = {"u": u, "v": v}
    if "sigma" in norm.parts:
        values["sigma"] = (u.conj() @ (matrix.to(u.dtype) @ v)).real
    made = {
        ref.name: values[role].reshape(ref.shape).to(_dtype(ref.dtype))
        for role, ref in norm.parts.items()
        if role in values
    }
    return _Round(made, exact)


def _dtype(name: str) -> torch.dtype:
    dtype = getattr(torch, name)
    assert isinstance(dtype, torch.dtype)  # noqa: S101  the part was read with it
    return dtype
