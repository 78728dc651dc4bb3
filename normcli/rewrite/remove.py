"""`remove`: effective weights under their plain names."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from normcli import linalg
from normcli.errors import CheckpointError, UsageError
from normcli.formats.spelling import quoted
from normcli.records import Change, Given, NormState, Spelling, Step
from normcli.reparam import problem, read_state
from normcli.reparam.spelling import line
from normcli.rewrite.choice import asked_for, checked_axis, is_named, parts_of, spelling
from normcli.rewrite.plan import Planned
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

    from normcli.records import Axis, TensorRef, Weight
    from normcli.reparam import Decoded
    from normcli.rewrite.options import Options
    from normcli.rewrite.settled import Read

_NORMS = frozenset({"spectral", "weight"})


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
    known = state.axes[0] if axis == "auto" and len(state.axes) == 1 else axis
    return Step("remove", state, spelling(state), Spelling(), known, parts, gives, change, result)


def _result(state: NormState, original: TensorRef | None, parts: Sequence[TensorRef]) -> TensorRef:
    """The header line of the plain weight; parts that are all tied give tied weights."""
    dtype = original.dtype if original is not None else _dtype(parts)
    ref = line(state.section, state.key, state.shape, dtype)
    ties = [part.storage for part in parts]
    return replace(ref, storage=" ".join(ties)) if all(ties) else ref


def _dtype(parts: Sequence[TensorRef]) -> str:
    """What torch computes the effective weight in: the widest dtype of the parts that it reads."""
    dtypes = {part.dtype for part in parts if part.dtype.startswith(("float", "bfloat", "complex"))}
    tensors = (torch.empty(0, dtype=getattr(torch, name)) for name in sorted(dtypes))
    return str(linalg.arithmetic_dtype(*tensors)).removeprefix("torch.")


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
        notes=decoded.notes,
    )
    (given,) = step.gives
    if given.kept:
        delta = largest_change(decoded.weight, read(given.kept)) if options.thorough else None
        return Settled(replace(change, largest_change=delta))
    if options.exact:
        exact = _exactly(state, decoded, options)
        if isinstance(exact, Left):
            return exact
        change = replace(change, largest_change=largest_change(decoded.weight, exact))
        weight = exact
    else:
        weight = decoded.weight
    if not is_finite(weight) and not options.allow_nonfinite:
        return Left("its effective weight holds NaN or infinite entries")
    return Settled(change, later={given.ref.name: partial(_computed, step, read, options)})


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
