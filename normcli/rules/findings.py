"""The findings that several rules make: a limit that is broken, a number that is not there."""

from __future__ import annotations

import math
import shlex
from typing import TYPE_CHECKING

from normcli.records import Finding
from normcli.rules.numbers import apart

if TYPE_CHECKING:
    from normcli.records import Demand, Measurement

_LONGEST = 200  # characters of a name that a command repeats
_MEND = "see the parts with normcli ls --all PATH, and mend the norm or take out what is too much"
_RETRAIN = "look for the step that made it so with an earlier checkpoint, and go on from there"


def broken(
    demand: Demand,
    weight: str,
    message: str,
    fix: str,
    *,
    value: float | None = None,
    lower: float | None = None,
    upper: float | None = None,
    limit: float | None = None,
) -> Finding:
    """A finding with the severity of the demand that is broken."""
    return Finding(demand.rule, demand.severity, weight, message, fix, value, lower, upper, limit)


def command(verb: str, weight: str, options: str = "") -> str:
    """A command line for one weight, `normcli refresh PATH --include fc.weight`.

    A name that is long or does not print is left out, so that a line can be copied as it is.
    """
    line = f"normcli {verb} PATH {options}".rstrip()
    if len(weight) > _LONGEST or not weight.isprintable():
        return line
    return f"{line} --include {shlex.quote(weight)}"


def unfit(demand: Demand, measurement: Measurement, *metrics: str) -> Finding | None:
    """That a weight cannot be held to a limit, for want of a number or because it is NaN.

    Args:
        demand: With a limit.
        measurement: Of the weight.
        metrics: `frobenius`, `spectral_norm`: what the limit is on.
    """
    if measurement.problem:
        return untold(demand, measurement)
    for metric in metrics:
        value = number(measurement, metric)
        if value is None:
            return unmeasured(demand, measurement, SYMBOLS[metric])
        if math.isnan(value):
            message = f"{SYMBOLS[metric]} is NaN: the weight holds NaN or infinities"
            return broken(demand, measurement.name, message, _RETRAIN, value=value)
    return None


def missing(demand: Demand, measurement: Measurement, what: str) -> Finding:
    """That a number is not there: no effective weight can be told, or it was not measured."""
    if measurement.problem:
        return untold(demand, measurement)
    return unmeasured(demand, measurement, what)


def untold(demand: Demand, measurement: Measurement) -> Finding:
    """That nobody can tell what the model computes with."""
    message = f"no effective weight can be told: {measurement.problem}"
    return broken(demand, measurement.name, message, _MEND)


def unmeasured(demand: Demand, measurement: Measurement, what: str) -> Finding:
    """That a number was not computed."""
    message = f"{what} is not known of it, so that it cannot be held to the demand"
    fix = "run normcli check on the checkpoint itself"
    return broken(demand, measurement.name, message, fix)


def number(measurement: Measurement, metric: str) -> float | None:
    """‖W‖_F, σ₁ or stable rank of a weight; None where it was not computed or does not exist."""
    if metric == "spectral_norm":
        norm = measurement.spectral_norm
        return None if norm is None else norm.value
    value: float | None = getattr(measurement, metric)
    return value


SYMBOLS = {"frobenius": "‖W‖_F", "spectral_norm": "σ₁", "stable_rank": "the stable rank"}


def above(
    demand: Demand, weight: str, what: str, bracket: tuple[float, float, float], fix: str
) -> Finding:
    """That the upper end of a bracket is above the limit.

    Args:
        demand: With the limit.
        weight: Name of the weight.
        what: What the bracket holds, `σ₁`.
        bracket: (lower, value, upper).
        fix: What can be done.
    """
    lower, value, upper = bracket
    limit = demand.parameters["limit"]
    if lower <= limit:
        return _straddling(demand, weight, what, bracket)
    told, found = apart(limit, value)
    message = f"{what} is {found}, above the limit {told}"
    return broken(demand, weight, message, fix, value=value, lower=lower, upper=upper, limit=limit)


def below(
    demand: Demand, weight: str, what: str, bracket: tuple[float, float, float], fix: str
) -> Finding:
    """That the lower end of a bracket is below the limit; as in `above`."""
    lower, value, upper = bracket
    limit = demand.parameters["limit"]
    if upper >= limit:
        return _straddling(demand, weight, what, bracket)
    told, found = apart(limit, value)
    message = f"{what} is {found}, below the limit {told}"
    return broken(demand, weight, message, fix, value=value, lower=lower, upper=upper, limit=limit)


def _straddling(
    demand: Demand, weight: str, what: str, bracket: tuple[float, float, float]
) -> Finding:
    lower, value, upper = bracket
    limit = demand.parameters["limit"]
    told, low, found, high = apart(limit, *bracket)
    message = (
        f"{what} is {found}, but its bracket {low}…{high} straddles the limit {told} and could not "
        "be tightened"
    )
    fix = "measure with --certificate deterministic, or move the limit away from the value"
    return broken(demand, weight, message, fix, value=value, lower=lower, upper=upper, limit=limit)
