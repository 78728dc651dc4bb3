"""Reports as a document: the columns of a measured weight, and the words for its problems."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from normcli.records import STALE
from normcli.render import numbers
from normcli.render.columns import number, shape, share, tally, words
from normcli.render.document import Document, Kind, Order, Sheet, cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normcli.records import Measurement, PowerIteration, Report, SpectralNorm, StateValues
    from normcli.render.columns import Row

UNIT = 1e-3  # how far ‖u‖ and ‖v‖ may be from 1

_COLUMNS = (
    words("path", "checkpoint"),
    words("name", "weight", 0),
    shape("shape", "shape", 2),
    words("dtype", "dtype", 9),
    tally("parameters", "parameters", 10),
    words("state", "state", 3),
    words("state_family", "family"),
    words("state_layout", "layout"),
    words("state_dim", "dim"),
    number("sigma_stored", "stored σ"),
    number("u_norm", "‖u‖"),
    number("v_norm", "‖v‖"),
    share("staleness", "stale", limit=STALE),
    number("original_spectral_norm", "original σ₁"),
    number("g_min", "min g"),
    number("g_max", "max g"),
    number("frobenius", "‖W‖_F", 4),
    tally("nan", "NaN", alarm=True),
    tally("inf", "Inf", alarm=True),
    tally("zero_rows", "zero rows", alarm=True),
    number("spectral_norm", "σ₁", 1),
    number("spectral_norm_lower", "σ₁ ≥"),
    number("spectral_norm_upper", "σ₁ ≤"),
    words("spectral_norm_method", "method"),
    number("power_iteration", "power σ", 5),
    tally("power_iteration_iterations", "steps"),
    words("power_iteration_start", "start"),
    share("power_iteration_relative_error", "error", 6, limit=STALE),
    number("stable_rank", "stable rank", 7),
    words("problems", "problems", 8),
    words("notes", "notes"),
)
_DERIVED = frozenset({"state", "problems"})  # words for people, made of other columns

REPORT = Kind(
    schema="normcli.report",
    columns=MappingProxyType({column.name: column for column in _COLUMNS}),
    reading=(
        "name", "shape", "dtype", "state", "frobenius", "spectral_norm", "power_iteration",
        "power_iteration_relative_error", "stable_rank", "problems",
    ),
    flat=tuple(column.name for column in _COLUMNS if column.name not in _DERIVED),
)  # fmt: skip


def report_document(
    reports: Sequence[Report],
    *,
    version: str,
    order: Order,
    chosen: tuple[str, ...] = (),
    seconds: float | None = None,
) -> Document:
    """The document of some reports, one sheet each, in order."""
    sheets = tuple(_sheet(report, order) for report in reports)
    return Document(REPORT, version, sheets, chosen, seconds)


def measured_row(path: str, weight: Measurement) -> Row:
    """A measured weight flat, by column name; None or absent where there is no such number."""
    return {
        "path": path,
        "name": weight.name,
        "shape": "x".join(map(str, weight.shape)),
        "dtype": weight.dtype,
        "parameters": weight.parameters,
        **_state_cells(weight.state),
        "frobenius": weight.frobenius,
        "nan": weight.nan,
        "inf": weight.inf,
        "zero_rows": weight.zero_rows,
        **_spectral_cells(weight.spectral_norm),
        **_power_cells(weight.power_iteration),
        "stable_rank": weight.stable_rank,
        "problems": ", ".join(problems(weight)) or None,
        "notes": "; ".join(weight.notes) or None,
    }


def problems(weight: Measurement) -> list[str]:
    """What is wrong with a weight, in a few words each, worst first."""
    found = []
    if weight.nan:
        found.append(f"{numbers.count(weight.nan)} NaN")
    if weight.inf:
        found.append(f"{numbers.count(weight.inf)} Inf")
    found += _state_problems(weight.state)
    if weight.zero_rows:
        found.append(numbers.counted(weight.zero_rows, "zero row"))
    return found


def _sheet(report: Report, order: Order) -> Sheet:
    weights = report.measurements
    rows = [measured_row(report.path, weight) for weight in weights]
    shown = order.arrange(rows)
    kept = tuple(weights[i] for i in shown)
    notes = cut(report.notes, len(kept), len(weights))
    source = replace(report, measurements=kept, notes=notes)
    return Sheet(
        path=report.path,
        format=report.format,
        nbytes=sum(each.nbytes for each in report.files),
        files=len(report.files),
        rows=tuple(rows[i] for i in shown),
        total=len(weights),
        parameters=sum(weight.parameters for weight in weights),
        families=Counter(weight.state.family if weight.state else "" for weight in weights),
        remarks=tuple((weight.name, weight.notes) for weight in kept),
        skipped=report.skipped,
        notes=report.notes,
        source=source,
        failure_probability=source.failure_probability,
    )


def _spectral_cells(norm: SpectralNorm | None) -> Row:
    if norm is None:
        return {}
    return {
        "spectral_norm": norm.value,
        "spectral_norm_lower": norm.lower,
        "spectral_norm_upper": norm.upper,
        "spectral_norm_method": norm.method,
    }


def _power_cells(power: PowerIteration | None) -> Row:
    if power is None:
        return {}
    return {
        "power_iteration": power.value,
        "power_iteration_iterations": power.iterations,
        "power_iteration_start": power.start,
        "power_iteration_relative_error": power.relative_error,
    }


def _state_cells(state: StateValues | None) -> Row:
    if state is None:
        return {}
    return {
        "state": "+".join(each.family for each in state.stack) or state.family,
        "state_family": state.family,
        "state_layout": state.layout,
        "state_dim": _dim(state),
        "sigma_stored": state.sigma_stored,
        "u_norm": state.u_norm,
        "v_norm": state.v_norm,
        "staleness": state.staleness,
        "original_spectral_norm": state.original_spectral_norm,
        "g_min": state.g_min,
        "g_max": state.g_max,
    }


def _dim(state: StateValues) -> str | None:
    """The axis; `none` for one norm over the whole tensor."""
    if state.family not in ("spectral", "weight"):
        return None
    return "none" if state.dim is None else str(state.dim)


def _state_problems(state: StateValues | None) -> list[str]:
    if state is None:
        return []
    if state.family == "unknown":
        return ["unknown norm"]
    found = [word for each in state.stack for word in _state_problems(each)]
    if state.staleness is not None and not abs(state.staleness) <= STALE:
        found.append(f"stale {state.staleness:.0%}".replace("%", " %"))
    vectors = (("u", state.u_norm), ("v", state.v_norm))
    found += [
        f"‖{name}‖ = {numbers.brief(norm)}"
        for name, norm in vectors
        if norm is not None and not abs(norm - 1) <= UNIT
    ]
    return list(dict.fromkeys(found))
