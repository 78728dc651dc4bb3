"""What the stored parts of a norm say: stale, averaged, degenerate, left over."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from normcli.records import ITEMSIZE
from normcli.rules.findings import broken, command, missing, untold
from normcli.rules.numbers import apart, brief, entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from normcli.records import Demand, Finding, Measurement, StateValues
    from normcli.rules.base import Case

UNIT = 1e-3  # |‖u‖ − 1| that rounding in single precision stays far below
UNIT_OF_HALF = 2e-2  # the same in half precision
_ZERO_ROWS = "v is zero in "  # how the note about a weight norm that divides by zero begins


def stale_state(case: Case, demand: Demand) -> Iterator[Finding]:
    """σ = uᵀWv of the stored u and v is the σ₁ of the original, up to `tolerance`.

    |1 − σ/σ₁| is held to it for every spectral norm of a stack.

    Why:
        u and v follow the weight by one power step a training step. After loading with other
        shapes, an average of weights, an edit of the original, or few steps they do not: the layer
        divides by a σ that is too small, and its norm is not 1.

    Fix:
        `normcli refresh PATH` computes u and v anew and leaves the original as it is.
    """
    tolerance = demand.parameters["tolerance"]
    for each in case.selected:
        if each.problem:
            yield from _unfit(demand, each)
            continue
        for norm, which in _spectral(each):
            if norm.staleness is None:
                yield from _without_staleness(demand, each, norm, which)
            elif not abs(norm.staleness) <= tolerance:
                yield _stale(demand, each, norm, which)


def unit_vectors(case: Case, demand: Demand) -> Iterator[Finding]:
    """The stored u and v of a spectral norm have length 1, up to `tolerance`.

    Without one it is 1e-3, and 2e-2 for a weight in half precision or below.

    Why:
        uᵀWv is a norm of W only for unit vectors. An average of checkpoints (EMA, a merge) averages
        u and v too, which makes them shorter: the layer divides by too little, from a factor of 1
        to none at all.

    Fix:
        `normcli refresh PATH` computes u and v anew; leave them out of the next average.
    """
    for each in case.selected:
        if each.problem:
            yield from _unfit(demand, each)
            continue
        for norm, which in _spectral(each):
            if norm.u_norm is None:
                yield missing(demand, each, f"‖u‖{which}")
            yield from _not_unit(demand, each, norm, which)


def degenerate_state(case: Case, demand: Demand) -> Iterator[Finding]:
    """A norm can be divided by: σ is positive and finite, u and v are finite, no row of v is zero.

    Why:
        A spectral norm divides by σ, a weight norm by the lengths of the rows of v. Where these are
        zero or NaN the layer computes NaN, and removing the norm would write NaN into the weight;
        a negative σ turns the sign of the layer.

    Fix:
        `normcli refresh PATH` where u and v are at fault. A zero row of v, or an original that is
        zero, has no direction to be found again: take it from an earlier checkpoint.
    """
    for each in case.selected:
        if each.problem:
            yield from _unfit(demand, each)
        elif each.parameters:
            for norm, which in _spectral(each):
                yield from _degenerate(demand, each, norm, which)
            if any(norm.family == "weight" for norm in _norms(each)):
                yield from _degenerate_weight_norm(demand, each)


def orphan_state(case: Case, demand: Demand) -> Iterator[Finding]:
    """A norm is stored with all of its parts, in one layout, and nothing of it stands elsewhere.

    Why:
        `weight_orig` without `weight_u`, a `weight_v` beside a plain weight, or one weight in two
        layouts is what a partial load, a filter on names or a merge of two formats leaves behind.
        What the model computes with then depends on who loads it.

    Fix:
        Take out the parts that are too much, or add the missing ones from the checkpoint that has
        them; `normcli ls --all PATH` shows all names.
    """
    for each in case.selected:
        if each.problem and not each.is_unknown:
            fix = "take out the parts that are too much, or add the missing ones"
            yield broken(demand, each.name, each.problem, fix)


def _unfit(demand: Demand, measurement: Measurement) -> Iterator[Finding]:
    """That a norm contradicts itself; a parametrization of another kind is no norm at all."""
    if not measurement.is_unknown:
        yield untold(demand, measurement)


def _norms(measurement: Measurement) -> Sequence[StateValues]:
    state = measurement.state
    return () if state is None else state.stack or (state,)


def _spectral(measurement: Measurement) -> Iterator[tuple[StateValues, str]]:
    """The spectral norms of a weight with entries, and which of a stack each is."""
    norms = _norms(measurement)
    for number, norm in enumerate(norms, 1):
        if norm.family == "spectral" and measurement.parameters:
            yield norm, f" of norm {number} of {len(norms)}" if len(norms) > 1 else ""


def _without_staleness(
    demand: Demand, measurement: Measurement, norm: StateValues, which: str
) -> Iterator[Finding]:
    sigma = norm.original_spectral_norm
    if sigma is None or norm.sigma_stored is None:
        yield missing(demand, measurement, f"the staleness of u and v{which}")
        return
    message = f"σ₁ of the original{which} is {brief(sigma)}: no u and v can belong to it"
    fix = "take the original from an earlier checkpoint"
    yield broken(demand, measurement.name, message, fix, value=sigma)


def _stale(demand: Demand, measurement: Measurement, norm: StateValues, which: str) -> Finding:
    tolerance = demand.parameters["tolerance"]
    staleness = math.nan if norm.staleness is None else abs(norm.staleness)
    stored = _told(norm.sigma_stored)
    allowed, off = apart(tolerance, staleness)
    return broken(
        demand,
        measurement.name,
        f"stale u and v{which}: stored σ is {stored}, σ₁ of the original "
        f"{_told(norm.original_spectral_norm)}, off by {off} of it, at most {allowed} allowed",
        command("refresh", measurement.name),
        value=staleness,
        limit=tolerance,
    )


def _told(value: float | None) -> str:
    return "unknown" if value is None else brief(value)


def _not_unit(
    demand: Demand, measurement: Measurement, norm: StateValues, which: str
) -> Iterator[Finding]:
    """One finding for u and v, with the length that is farther off."""
    tolerance = _tolerance(demand, measurement)
    lengths = {"u": norm.u_norm, "v": norm.v_norm}
    wrong = {
        role: length
        for role, length in lengths.items()
        if length is not None and not abs(length - 1) <= tolerance
    }
    if wrong:
        told = " and ".join(f"‖{role}‖ is {apart(1.0, x)[1]}" for role, x in wrong.items())
        verdict = f"expected 1 up to {tolerance:g}: averaged by an EMA or a merge?"
        yield broken(
            demand,
            measurement.name,
            f"{told}{which}, {verdict}",
            command("refresh", measurement.name),
            value=max(wrong.values(), key=_distance),
            limit=1.0,
        )


def _distance(length: float) -> float:
    """From 1; NaN is farthest."""
    return math.inf if math.isnan(length) else abs(length - 1)


def _tolerance(demand: Demand, measurement: Measurement) -> float:
    said: float | None = demand.parameters.get("tolerance")
    if said is not None:
        return said
    return UNIT_OF_HALF if ITEMSIZE[measurement.dtype] < 4 else UNIT


def _degenerate(
    demand: Demand, measurement: Measurement, norm: StateValues, which: str
) -> Iterator[Finding]:
    fix = command("refresh", measurement.name)
    sigma = norm.sigma_stored
    if sigma is None:
        yield missing(demand, measurement, f"the stored σ{which}")
    elif not (sigma > 0 and math.isfinite(sigma)):
        message = f"stored σ{which} is {brief(sigma)}, expected a positive, finite number"
        yield broken(demand, measurement.name, message, fix, value=sigma)
    for role, length in (("u", norm.u_norm), ("v", norm.v_norm)):
        if length is not None and not math.isfinite(length):
            message = f"‖{role}‖{which} is {brief(length)}, expected finite entries"
            yield broken(demand, measurement.name, message, fix, value=length)


def _degenerate_weight_norm(demand: Demand, measurement: Measurement) -> Iterator[Finding]:
    """What makes g·v/‖v‖ NaN: the first of the causes that is seen."""
    zero = next((note for note in measurement.notes if note.startswith(_ZERO_ROWS)), "")
    if zero:
        fix = "take those rows from an earlier checkpoint: a zero row has no direction"
        yield broken(demand, measurement.name, zero, fix)
    elif not all(map(_is_finite_g, _norms(measurement))):
        fix = "take g from an earlier checkpoint"
        yield broken(demand, measurement.name, "g holds NaN or infinities", fix)
    elif measurement.nan is None:
        yield missing(demand, measurement, "whether g·v/‖v‖ is NaN")
    elif measurement.nan:
        message = f"{entries(measurement.nan, measurement.parameters)} of g·v/‖v‖ are NaN"
        fix = "take g and v from an earlier checkpoint"
        yield broken(demand, measurement.name, message, fix, value=measurement.nan)


def _is_finite_g(norm: StateValues) -> bool:
    ends = (norm.g_min, norm.g_max)
    return all(end is None or math.isfinite(end) for end in ends)
