"""What can be measured of a weight: one function a metric, one line each in `METRICS`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from normcli import linalg
from normcli.measure.exact import exact
from normcli.records import Overflow, PowerIteration, StateValues

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from normcli.measure.subject import Options, Subject
    from normcli.reparam import Decoded


def _power_iteration(subject: Subject) -> PowerIteration:
    """What it says, with its relative error where σ₁ is asked for as well."""
    value, error = subject.power_sigma, None
    if "spectral_norm" in subject.options.metrics and subject.spectral_norm.value > 0:
        error = 1 - value / subject.spectral_norm.value
    start = "random" if subject.vectors is None else "stored"
    return PowerIteration(value, subject.iterations, start, error)


def _stable_rank(subject: Subject) -> float | None:
    sigma = subject.spectral_norm.value
    if sigma == 0:
        return None
    ratio = subject.census.frobenius / sigma
    return ratio * ratio


def _state(subject: Subject) -> StateValues | None:
    return _with_original(subject.decoded, subject.options) if subject.decoded else None


def _with_original(decoded: Decoded, options: Options) -> StateValues:
    """The numbers of a state with the exact σ₁ of what is stored, for each norm of a stack."""
    if decoded.stack:
        stack = tuple(_with_original(each, options) for each in decoded.stack)
        return replace(stack[-1], stack=stack)
    values = decoded.values
    if decoded.original is None:
        return values
    sigma = exact(linalg.as_matrix(decoded.original, decoded.axis), options).value
    values = replace(values, original_spectral_norm=sigma)
    if values.sigma_stored is None or not sigma > 0:
        return values
    return replace(values, staleness=1 - values.sigma_stored / sigma)


def _overflow(subject: Subject) -> tuple[Overflow, ...]:
    """How the weight fits each dtype that it may be cast to."""
    return tuple(_beyond(subject, name) for name in subject.options.casts)


def _beyond(subject: Subject, name: str) -> Overflow:
    found = linalg.beyond(subject.pieces(), getattr(torch, name))
    first = None if found.first is None else _index(subject, found.first)
    return Overflow(name, found.count, found.largest, first)


def _index(subject: Subject, position: int) -> tuple[int, ...] | None:
    """Index by axis of an entry at a position; None where they come in another order."""
    if not subject.in_order:
        return None
    index: list[int] = []
    for size in reversed(subject.record.shape):
        position, last = divmod(position, size)
        index.append(last)
    return tuple(reversed(index))


METRICS: Mapping[str, Callable[[Subject], object]] = {
    "frobenius": lambda subject: subject.census.frobenius,
    "nan": lambda subject: subject.census.nan,
    "inf": lambda subject: subject.census.inf,
    "zero_rows": lambda subject: subject.zero_rows,
    "spectral_norm": lambda subject: subject.spectral_norm,
    "power_iteration": _power_iteration,
    "stable_rank": _stable_rank,
    "state": _state,
    "constant": lambda subject: linalg.is_constant(subject.pieces()),
    "overflow": _overflow,
}
