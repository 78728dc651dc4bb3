"""What has changed since a baseline was recorded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from normcli.records import Finding
from normcli.rules.findings import SYMBOLS, broken, number, unfit
from normcli.rules.naming import by_name
from normcli.rules.numbers import apart, brief

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from normcli.records import Demand, Measurement, Recorded
    from normcli.rules.base import Case

ROUNDING = 5e-6  # relative, of a number with six significant digits
METRICS = ("frobenius", "spectral_norm", "stable_rank")
_UPDATE = "normcli baseline update PATH, once the change is what it should be"


def growth(case: Case, demand: Demand) -> Iterator[Finding]:
    """Neither σ₁ nor ‖W‖_F of a weight is more than `factor` times that of the baseline.

    The upper end of the bracket of σ₁ counts: a weight passes only if it surely has not grown.
    A weight that the baseline does not know cannot be compared, and that is a finding.

    Why:
        A norm that grows from one checkpoint to the next by a factor is how a divergence begins,
        long before the loss shows it.

    Fix:
        Look at the learning rate and the gradient clipping since the baseline; `normcli baseline
        update PATH` records the new norms where the growth is meant.
    """
    known = case.baseline
    if not known:
        yield _without_baseline(demand, known)
        return
    for each in case.selected:
        trouble = unfit(demand, each, "frobenius", "spectral_norm")
        if trouble is not None:
            yield trouble
        elif each.name not in known:
            yield _new(demand, each)
        else:
            for metric in ("spectral_norm", "frobenius"):
                yield from _grown(demand, each, known[each.name], metric)


def drift(case: Case, demand: Demand) -> Iterator[Finding]:
    """Nothing differs from the baseline: no shape, dtype, norm state, and no norm by `tolerance`.

    The tolerance is relative, and so is the rounding of the baseline to six digits that is added
    to it. A weight that is new, and one that is missing, differ.

    Why:
        A conversion, an upgrade of a library or a new release script should leave the weights as
        they were. That ‖W‖_F, σ₁ and the stable rank are still the same says so in a few numbers.

    Fix:
        Find out what changed the weight; `normcli baseline update PATH --include NAME` records the
        new numbers where the change is meant.
    """
    known = case.baseline
    if not known:
        yield _without_baseline(demand, known)
        return
    for each in case.selected:
        if each.name not in known:
            yield _new(demand, each)
        else:
            yield from _drifted(demand, each, known[each.name])
    yield from _gone(case, demand, known)


def state_text(measurement: Measurement) -> str:
    """The norm state as a baseline has it, `weight parametrized+spectral parametrized`."""
    state = measurement.state
    if state is None:
        return ""
    return "+".join(f"{norm.family} {norm.layout}" for norm in state.stack or (state,))


def _without_baseline(demand: Demand, known: Mapping[str, Recorded] | None) -> Finding:
    if known is None:
        message = "there is no baseline to compare with"
        fix = "normcli baseline write PATH, then normcli check PATH --baseline FILE"
    else:
        message = "the baseline does not know this checkpoint, so that nothing could be compared"
        fix = "normcli baseline update PATH"
    return Finding(demand.rule, "error", "", message, fix)


def _new(demand: Demand, measurement: Measurement) -> Finding:
    message = "is not in the baseline, so that it could not be compared"
    return broken(demand, measurement.name, message, _UPDATE)


def _grown(
    demand: Demand, measurement: Measurement, recorded: Recorded, metric: str
) -> Iterator[Finding]:
    factor = demand.parameters["factor"]
    before: float | None = getattr(recorded, metric)
    now = number(measurement, metric)
    if before is None or math.isnan(before) or now is None:
        yield _incomparable(demand, measurement, metric)
        return
    norm = measurement.spectral_norm if metric == "spectral_norm" else None
    reached = norm.upper if norm else now
    if reached <= factor * before * (1 + ROUNDING):
        return
    times = f" times {brief(before)}" if before else ""
    told, found = apart(factor, now / before) if before else (f"{factor:g}", "from 0")
    message = f"{SYMBOLS[metric]} is {brief(now)}, {found}{times}, above a factor of {told}"
    yield broken(
        demand,
        measurement.name,
        message,
        _UPDATE,
        value=now,
        lower=norm.lower if norm else None,
        upper=norm.upper if norm else None,
        limit=factor * before,
    )


def _drifted(demand: Demand, measurement: Measurement, recorded: Recorded) -> Iterator[Finding]:
    """One finding with all that differs; each number that could not be compared is another."""
    differing = list(_form(measurement, recorded))
    trouble = unfit(demand, measurement, "frobenius", "spectral_norm")
    if trouble is not None:
        yield trouble
    else:
        for metric in METRICS:
            before: float | None = getattr(recorded, metric)
            now = number(measurement, metric)
            if before is None and now is None and metric == "stable_rank":
                continue  # that of a zero matrix does not exist
            if before is None or now is None or math.isnan(before):
                yield _incomparable(demand, measurement, metric)
            elif not _same(before, now, demand.parameters["tolerance"]):
                differing.append(f"{SYMBOLS[metric]} is {', was '.join(_both(now, before))}")
    if differing:
        yield broken(demand, measurement.name, "; ".join(differing), _UPDATE)


def _form(measurement: Measurement, recorded: Recorded) -> Iterator[str]:
    """What differs in the header."""
    if measurement.shape != tuple(recorded.shape):
        yield f"shape is {list(measurement.shape)}, was {list(recorded.shape)}"
    if measurement.dtype != recorded.dtype:
        yield f"dtype is {measurement.dtype}, was {recorded.dtype}"
    state = state_text(measurement)
    if state != recorded.state:
        yield f"is stored {state or 'plain'}, was {recorded.state or 'plain'}"


def _same(before: float, now: float, tolerance: float) -> bool:
    return now == before or abs(now - before) <= (tolerance + ROUNDING) * abs(before)


def _both(now: float, before: float) -> tuple[str, str]:
    was, found = apart(before, now)
    return found, was


def _incomparable(demand: Demand, measurement: Measurement, metric: str) -> Finding:
    message = f"{SYMBOLS[metric]} could not be compared: the baseline or the checkpoint has none"
    return broken(demand, measurement.name, message, _UPDATE)


def _gone(case: Case, demand: Demand, known: Mapping[str, Recorded]) -> Iterator[Finding]:
    """What the baseline has and the checkpoint has not, or no longer as a weight."""
    meant = by_name(demand.weights)
    selected = {each.name for each in case.selected}
    others = {each.name: each for each in case.report.measurements}
    for name, recorded in known.items():
        if name in selected or not meant(name):
            continue
        if name not in others:
            yield broken(demand, name, "is in the baseline and missing here", _UPDATE)
            continue
        differing = list(_form(others[name], recorded))
        if differing:
            yield broken(demand, name, "; ".join(differing), _UPDATE)
