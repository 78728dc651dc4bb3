"""What a respelling has to compute: nothing for keys alone, u and v for the layouts of old."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from normcli import linalg
from normcli.records import Change, NormState
from normcli.reparam import decode, read_state
from normcli.reparam.spelling import TARGETS
from normcli.rewrite.values.settled import Left, Open, Settled, is_finite, largest_change

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from normcli.records import Step
    from normcli.reparam import Decoded
    from normcli.rewrite.options import Options
    from normcli.rewrite.values.settled import Outcome, Read


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
        largest_change=largest_change(before.weight, after.weight) if options.thorough else None,
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
