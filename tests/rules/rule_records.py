"""Reports built by hand, and what a rule says of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from normcli.gate.judging import judge, straddling
from normcli.records import (
    Demand,
    Measurement,
    Policy,
    Recorded,
    Report,
    SpectralNorm,
    StateValues,
)
from normcli.rules import RULES

TODAY = date(2026, 1, 1)
NAN = float("nan")


def sigma(value, lower=None, upper=None):
    """σ₁ with its bracket; without one the ends are the value."""
    lower, upper = value if lower is None else lower, value if upper is None else upper
    return SpectralNorm(value, lower, upper, 0.0, "gram-cholesky", 1)


def weight(key="fc.weight", **changed):
    """A sound 8 × 4 float32 weight, every number measured: σ₁ 1, ‖W‖_F 2, stable rank 4."""
    fields = {
        "section": "",
        "shape": (8, 4),
        "dtype": "float32",
        "parameters": 32,
        "matrix_shape": (8, 4),
        "frobenius": 2.0,
        "nan": 0,
        "inf": 0,
        "zero_rows": 0,
        "spectral_norm": sigma(1.0),
        "stable_rank": 4.0,
        "constant": False,
        "overflow": (),
    }
    return Measurement(key=key, **{**fields, **changed})


def empty(key="empty.weight"):
    """What is measured of a (0, 4) weight."""
    return weight(
        key,
        shape=(0, 4),
        parameters=0,
        matrix_shape=(0, 4),
        frobenius=0.0,
        spectral_norm=sigma(0.0),
        stable_rank=None,
    )


def nan_weight(key="bad.weight"):
    """What is measured of a weight with one NaN."""
    return weight(key, frobenius=NAN, nan=1, spectral_norm=sigma(NAN, NAN, NAN), stable_rank=NAN)


def contradicting():
    """A weight whose norm is stored twice: no number either."""
    problem = "stored in two layouts, legacy and parametrized, expected one"
    return replace(unknown(), notes=(problem,), problem=problem)


def unknown(key="odd.weight"):
    """A weight under a parametrization that nobody knows: no number at all."""
    problem = "unknown parametrization: index 0 has no state: a custom map"
    return Measurement(
        section="",
        key=key,
        shape=(8, 4),
        dtype="float32",
        parameters=32,
        state=StateValues("unknown", "parametrized"),
        notes=(problem,),
        problem=problem,
    )


def spectral(**changed):
    """A spectral norm with u and v that belong to the weight."""
    fields = {
        "layout": "legacy",
        "dim": 0,
        "sigma_stored": 2.0,
        "u_norm": 1.0,
        "v_norm": 1.0,
        "original_spectral_norm": 2.0,
        "staleness": 0.0,
    }
    return StateValues("spectral", **{**fields, **changed})


def weight_norm(**changed):
    """A weight norm with a finite g."""
    return StateValues(
        "weight", **{"layout": "legacy", "dim": 0, "g_min": 0.5, "g_max": 2.0, **changed}
    )


def normed(state, key="fc.weight", **changed):
    """A sound weight under a norm state."""
    return weight(key, state=state, **changed)


def report(*measurements, skipped=(), opaque=()):
    return Report(
        "model.safetensors", "safetensors", (), tuple(measurements), tuple(skipped), (), opaque
    )


def demand(rule, *globs, severity=None, optional=False, **parameters):
    """A demand with every parameter that the policy would fill in."""
    complete = {name: each.default for name, each in RULES[rule].parameters.items()}
    severity = severity or RULES[rule].severity
    return Demand(rule, severity, {**complete, **parameters}, globs, optional)


def findings(asked, *measurements, baseline=None, skipped=(), opaque=()):
    """What a demand finds in a checkpoint with these weights."""
    about = report(*measurements, skipped=skipped, opaque=opaque)
    checked = judge(about, Policy((asked,)), baseline=baseline, today=TODAY)
    return list(checked.findings)


def finding(asked, *measurements, **further):
    """The only finding."""
    (found,) = findings(asked, *measurements, **further)
    return found


def open_brackets(asked, *measurements):
    """Names of the weights whose bracket should be narrowed."""
    return straddling(report(*measurements), Policy((asked,)), baseline=None)


def recorded(**changed):
    """What a baseline has of `weight()`."""
    fields = {
        "shape": (8, 4),
        "dtype": "float32",
        "state": "",
        "frobenius": 2.0,
        "spectral_norm": 1.0,
        "stable_rank": 4.0,
    }
    return Recorded(**{**fields, **changed})
