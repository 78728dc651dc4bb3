"""What is known of one weight after it was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from normcli.records.header import full_name

if TYPE_CHECKING:
    from normcli.records.header import Axis, Shape


# How the upper end of a bracket of σ₁ is vouched for.
CERTIFICATES = ("probabilistic", "deterministic", "none")
DEVICES = ("cpu", "cuda", "mps")  # where spectral norms can be computed, as torch names them
UNKNOWN = "unknown parametrization"  # how the problem of a state begins that nobody can tell
STALE = 0.05  # |1 − σ_stored/σ₁| beyond which u and v are called stale


@dataclass(frozen=True, slots=True)
class SpectralNorm:
    """σ₁ = ‖W‖₂ and the bracket that is known to hold it.

    Attributes:
        value: Best estimate, lower ≤ value ≤ upper; NaN where the matrix holds NaN or Inf.
        lower: No singular value above it is claimed by less than a vector that attains it.
        upper: Nothing in the matrix can be stretched by more.
        failure_probability: That `upper` is below σ₁; 0 for a deterministic certificate.
        method: How it was found: `block-lanczos`, `trailing-energy`, `gram-cholesky`, `vector`,
            `zero`, `empty`, `non-finite`.
        passes: Times that the matrix was read.
        gap: σ₂/σ₁ where it is known.
        u: Left singular vector, a float64 tensor of shape (m,), where it was asked for.
        v: Right singular vector, shape (n,).
    """

    value: float
    lower: float
    upper: float
    failure_probability: float
    method: str
    passes: int
    gap: float | None = None
    u: Any = field(default=None, repr=False, compare=False)
    v: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class PowerIteration:
    """What a power iteration says about σ₁.

    Attributes:
        value: σ̂ = uᵀWv after the last step.
        iterations: Steps done.
        start: `stored` (the state's own vectors) or `random` (seeded).
        relative_error: 1 − σ̂/σ₁; None where σ₁ was not computed or is 0.
    """

    value: float
    iterations: int
    start: str
    relative_error: float | None = None


@dataclass(frozen=True, slots=True)
class StateValues:
    """Numbers of a norm state. None is: not asked for, or there is no such thing in this state.

    Attributes:
        family: As in `NormState`.
        layout: As in `NormState`.
        dim: Row axis that was used; None for one norm over the whole tensor, or where it is open.
        sigma_stored: The number that the layer divides by at inference.
        u_norm: ‖u‖₂ of the stored u.
        v_norm: ‖v‖₂ of the stored v.
        original_spectral_norm: Exact σ₁ of the original.
        staleness: 1 − sigma_stored / original_spectral_norm.
        g_min: Smallest entry of g.
        g_max: Largest entry of g.
        stack: The same for each norm of a stack, in the order in which they act.
    """

    family: str
    layout: str
    dim: Axis = None
    sigma_stored: float | None = None
    u_norm: float | None = None
    v_norm: float | None = None
    original_spectral_norm: float | None = None
    staleness: float | None = None
    g_min: float | None = None
    g_max: float | None = None
    stack: tuple[StateValues, ...] = ()


@dataclass(frozen=True, slots=True)
class Overflow:
    """How a weight fits a dtype that it is to be cast to.

    Attributes:
        dtype: Torch's name without `torch.`.
        count: Finite entries that are too large for it.
        largest: Largest magnitude of a finite entry.
        first: Index of the first entry that is too large, by axis; None for none.
    """

    dtype: str
    count: int
    largest: float
    first: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """Numbers of one effective weight. None is: not asked for, or it does not exist.

    Attributes:
        section: As in `TensorRef`.
        key: State-dict key of the weight.
        shape: Of the weight.
        dtype: Of the weight.
        parameters: Number of elements.
        matrix_shape: (m, n) of the matrix that the spectral norm is of.
        state: Of its norm state; None for a plain weight.
        frobenius: ‖W‖_F = √Σ|w|², accumulated in float64; NaN or Inf where the weight holds one.
        nan: Number of NaN entries; where no effective weight can be told, of all stored parts.
        inf: Number of infinite entries, likewise.
        zero_rows: Number of rows of the matrix that are all zero.
        spectral_norm: Exact σ₁ with its bracket.
        power_iteration: What a power iteration says.
        stable_rank: ‖W‖_F²/σ₁².
        notes: Sentences about this weight, worst first.
        problem: Why no effective weight can be told, or what stands beside the weight that belongs
            to no norm; empty where nothing is wrong.
        constant: Whether all entries are one finite value.
        overflow: One for each dtype that was asked about.
    """

    section: str
    key: str
    shape: Shape
    dtype: str
    parameters: int
    matrix_shape: tuple[int, int] | None = None
    state: StateValues | None = None
    frobenius: float | None = None
    nan: int | None = None
    inf: int | None = None
    zero_rows: int | None = None
    spectral_norm: SpectralNorm | None = None
    power_iteration: PowerIteration | None = None
    stable_rank: float | None = None
    notes: tuple[str, ...] = ()
    problem: str = ""
    constant: bool | None = None
    overflow: tuple[Overflow, ...] | None = None

    @property
    def name(self) -> str:
        """`SECTION/KEY` of the weight."""
        return full_name(self.section, self.key)

    @property
    def is_unknown(self) -> bool:
        """Whether it is under a parametrization that only its own code can tell."""
        return self.problem.startswith(UNKNOWN)

    def to_record(self) -> dict[str, Any]:
        """The weight as in the JSON report: plain values; absent is not asked for or not there."""
        record: dict[str, Any] = {
            "name": self.name,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "matrix_shape": None if self.matrix_shape is None else list(self.matrix_shape),
            "parameters": self.parameters,
            "state": None if self.state is None else state_record(self.state),
            "frobenius": plain(self.frobenius),
            "nan": self.nan,
            "inf": self.inf,
            "zero_rows": self.zero_rows,
            "spectral_norm": record_of(self.spectral_norm),
            "power_iteration": record_of(self.power_iteration),
            "stable_rank": plain(self.stable_rank),
            "constant": self.constant,
            "overflow": None if self.overflow is None else list(map(_overflow, self.overflow)),
            "problem": self.problem or None,
            "notes": list(self.notes),
        }
        return {name: value for name, value in record.items() if value is not None}


# Fields of a measurement that can be asked for; all other ones are always there.
METRIC_NAMES = (
    "frobenius",
    "nan",
    "inf",
    "zero_rows",
    "spectral_norm",
    "power_iteration",
    "stable_rank",
    "state",
    "constant",
)
GATE_METRICS = ("overflow",)  # what only a gate asks for


def plain(value: float | None) -> float | str | None:
    """A number as JSON can hold it: NaN and infinities become "nan", "inf" and "-inf"."""
    if value is None or math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def _overflow(found: Overflow) -> dict[str, Any]:
    record: dict[str, Any] = {
        "dtype": found.dtype,
        "count": found.count,
        "largest": plain(found.largest),
    }
    return record if found.first is None else {**record, "first": list(found.first)}


def record_of(value: SpectralNorm | PowerIteration | None) -> dict[str, Any] | None:
    """The fields that exist, as plain values."""
    if value is None:
        return None
    pairs = ((f.name, getattr(value, f.name)) for f in fields(value) if f.name not in ("u", "v"))
    return {
        name: plain(item) if isinstance(item, float) else item
        for name, item in pairs
        if item is not None
    }


def state_record(state: StateValues) -> dict[str, Any]:
    """A state as in the JSON report: the numbers that exist."""
    record: dict[str, Any] = {"family": state.family, "layout": state.layout}
    if state.family in ("spectral", "weight"):
        record["dim"] = state.dim
    for name in _STATE_NUMBERS:
        number = plain(getattr(state, name))
        if number is not None:
            record[name] = number
    if state.stack:
        record["stack"] = [state_record(each) for each in state.stack]
    return record


_STATE_NUMBERS = (
    "sigma_stored",
    "u_norm",
    "v_norm",
    "original_spectral_norm",
    "staleness",
    "g_min",
    "g_max",
)
