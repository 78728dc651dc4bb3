"""New u and v for spectral norms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from normcli import linalg
from normcli.records import Change, NormState
from normcli.reparam import decode, read_state
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
        largest_change=largest_change(before.weight, after.weight) if options.thorough else None,
        notes=tuple(f"before: {note}" for note in before.notes),
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
        top = found(matrix, options)
        if without_vectors(top):
            return Left(without_vectors(top)), None
        u, v, value = top.u, top.v, top.value
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
