"""The effective weight that takes the place of a norm."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from normcli import linalg
from normcli.records import STALE, Change, NormState
from normcli.reparam import read_state
from normcli.rewrite.values.settled import (
    Left,
    Open,
    Settled,
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

_STEPS = 3  # power steps that tell vectors that converged from others


def settle(step: Step, read: Read, options: Options) -> Outcome:
    """The effective weight looked at; it is computed again when it is written."""
    state = step.weight
    assert isinstance(state, NormState)  # noqa: S101  the planner takes nothing else
    decoded = read_state(read, state, step.axis)
    if not decoded.certain and not options.restore:
        return Open()
    change = Change(
        axis=decoded.axis if state.family == "spectral" else decoded.values.dim,
        sigma_before=decoded.values.sigma_stored,
        largest_change=0.0,
        notes=(*decoded.notes, *_stale(decoded)),
    )
    (given,) = step.gives
    if given.kept:
        delta = largest_change(decoded.weight, read(given.kept)) if options.thorough else None
        return Settled(replace(change, largest_change=delta))
    if options.exact:
        exact = _exactly(state, decoded, options)
        if isinstance(exact, Left):
            return exact
        delta = largest_change(decoded.weight, exact) if options.thorough else None
        change = replace(change, largest_change=delta)
        weight = exact
    else:
        weight = decoded.weight
    if not is_finite(weight) and not options.allow_nonfinite:
        return Left("its effective weight holds NaN or infinite entries")
    return Settled(change, later={given.ref.name: partial(_computed, step, read, options)})


def _stale(decoded: Decoded) -> tuple[str, ...]:
    """That a few power steps from the stored u and v reach clearly more than the stored σ.

    Unit vectors may be as wrong as any: those of a hook that never ran are random.
    """
    sigma = decoded.values.sigma_stored
    if decoded.original is None or decoded.vectors is None or sigma is None:
        return ()
    matrix = linalg.as_matrix(decoded.original, decoded.axis)
    legacy = decoded.values.layout != "parametrized"
    steps = linalg.power_steps(matrix, iterations=_STEPS, start=decoded.vectors, legacy=legacy)
    reached = max(steps.values)
    if not sigma < (1 - STALE) * reached:
        return ()
    found = f"stale u and v: σ is {sigma:.4g}, {_STEPS} power steps reach {reached:.4g}"
    return (f"{found}; refresh them first, or divide by the exact σ₁",)


def _computed(step: Step, read: Read, options: Options) -> Tensor:
    assert isinstance(step.weight, NormState)  # noqa: S101  as in `settle`
    decoded = read_state(read, step.weight, step.axis)
    if not options.exact:
        return decoded.weight
    exact = _exactly(step.weight, decoded, options)
    assert not isinstance(exact, Left)  # noqa: S101  as in `settle`
    return exact


def _exactly(state: NormState, decoded: Decoded, options: Options) -> Tensor | Left:
    """Every spectral norm of the state with the exact σ₁ in place of the stored one."""
    norms = state.stack or (state,)
    each = decoded.stack or (decoded,)
    weight: Tensor | None = None
    for norm, done in zip(norms, each, strict=True):
        if norm.family != "spectral":
            weight = done.weight
            continue
        original = done.original if weight is None else weight
        assert original is not None  # noqa: S101  a spectral norm has one
        matrix = linalg.as_matrix(original, done.axis)
        found = linalg.spectral_norm(matrix, rtol=options.rtol, seed=options.seed)
        if without_vectors(found):
            return Left(without_vectors(found))
        weight = original / found.value
    assert weight is not None  # noqa: S101  a state has a norm
    return weight
