"""A JSON report of `inspect` or `check`, read back: numbers without a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from normcli.errors import CheckpointError
from normcli.formats.budgets import Budgets
from normcli.formats.source import Source
from normcli.formats.strict_json import parse_json, unique
from normcli.records import (
    InputFile,
    Measurement,
    Opaque,
    Overflow,
    PowerIteration,
    Report,
    Skipped,
    SpectralNorm,
    StateValues,
)

if TYPE_CHECKING:
    import os

SCHEMA = "normcli.report"

_SPELLED = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}
_HINT = "normcli inspect PATH --all --format json writes one"


def _number(value: object) -> object:
    """A number of the report: NaN and infinities are spelled out."""
    return _SPELLED.get(value, value) if isinstance(value, str) else value


Number = Annotated[float, BeforeValidator(_number)]
Size = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    """Strict, but for fields of later versions."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _State(_Part):
    family: str
    layout: str
    dim: int | None = None
    sigma_stored: Number | None = None
    u_norm: Number | None = None
    v_norm: Number | None = None
    original_spectral_norm: Number | None = None
    staleness: Number | None = None
    g_min: Number | None = None
    g_max: Number | None = None
    stack: list[_State] = []

    def record(self) -> StateValues:
        numbers = self.model_dump(exclude={"stack"})
        return StateValues(**numbers, stack=tuple(each.record() for each in self.stack))


class _Spectral(_Part):
    value: Number
    lower: Number
    upper: Number
    failure_probability: Number
    method: str
    passes: Size
    gap: Number | None = None


class _Power(_Part):
    value: Number
    iterations: Size
    start: str
    relative_error: Number | None = None


class _Overflow(_Part):
    dtype: str
    count: Size
    largest: Number
    first: list[Size] | None = None

    def record(self) -> Overflow:
        first = None if self.first is None else tuple(self.first)
        return Overflow(self.dtype, self.count, self.largest, first)


class _Weight(_Part):
    name: str
    shape: list[Size]
    dtype: str
    parameters: Size
    matrix_shape: list[Size] | None = None
    state: _State | None = None
    frobenius: Number | None = None
    nan: Size | None = None
    inf: Size | None = None
    zero_rows: Size | None = None
    spectral_norm: _Spectral | None = None
    power_iteration: _Power | None = None
    stable_rank: Number | None = None
    constant: bool | None = None
    overflow: list[_Overflow] | None = None
    problem: str = ""
    notes: list[str] = []

    def record(self) -> Measurement:
        section, _, key = self.name.rpartition("/")
        matrix, spectral, power = self.matrix_shape, self.spectral_norm, self.power_iteration
        return Measurement(
            section=section,
            key=key,
            shape=tuple(self.shape),
            dtype=self.dtype,
            parameters=self.parameters,
            matrix_shape=(matrix[0], matrix[1]) if matrix and len(matrix) == 2 else None,
            state=None if self.state is None else self.state.record(),
            frobenius=self.frobenius,
            nan=self.nan,
            inf=self.inf,
            zero_rows=self.zero_rows,
            spectral_norm=None if spectral is None else SpectralNorm(**spectral.model_dump()),
            power_iteration=None if power is None else PowerIteration(**power.model_dump()),
            stable_rank=self.stable_rank,
            constant=self.constant,
            overflow=None if self.overflow is None else tuple(o.record() for o in self.overflow),
            problem=self.problem,
            notes=tuple(self.notes),
        )


class _Skipped(_Part):
    name: str
    reason: str


class _Opaque(_Part):
    what: str
    count: Size
    place: str


class _File(_Part):
    name: str
    bytes: Size
    sha256: str = ""


class _Checkpoint(_Part):
    path: str
    format: str
    bytes: Size
    sha256: str = ""
    files: list[_File] = []
    weights: list[_Weight]
    skipped: list[_Skipped]
    opaque: list[_Opaque] = []
    notes: list[str]

    def record(self) -> Report:
        whole = InputFile(Path(self.path).name, self.bytes, self.sha256)
        return Report(
            path=self.path,
            format=self.format,
            files=tuple(InputFile(f.name, f.bytes, f.sha256) for f in self.files) or (whole,),
            measurements=tuple(each.record() for each in self.weights),
            skipped=tuple(Skipped(each.name, each.reason) for each in self.skipped),
            notes=tuple(self.notes),
            opaque=tuple(Opaque(each.what, each.count, each.place) for each in self.opaque),
        )


class _Document(_Part):
    schema_: Literal["normcli.report"] = Field(alias="schema")
    schema_version: Literal[1]
    checkpoints: list[_Checkpoint]
    unread: list[dict[str, Any]] = []


def read_reports(path: str | os.PathLike[str]) -> tuple[Report, ...]:
    """The checkpoints of a report, as they were measured.

    Raises:
        CheckpointError: It is no report of version 1, or one of a run that could not read a path.
    """
    where = str(path)
    source = Source(where)
    try:
        raw = source.read(0, source.size)
        document = _Document.model_validate(parse_json(raw, "the report", Budgets(), unique))
    except ValidationError as error:
        raise CheckpointError(_said(error), where=where, hint=_HINT) from error
    except CheckpointError as error:
        error.where = error.where or where
        raise
    finally:
        source.close()
    if document.unread:
        message = f"is of a run that could not read {len(document.unread)} of its paths"
        raise CheckpointError(message, where=where, hint="a gate never passes what was not read")
    if not document.checkpoints:
        raise CheckpointError("holds no checkpoint", where=where, hint=_HINT)
    return tuple(each.record() for each in document.checkpoints)


def _said(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "the document"
    more = f", and {error.error_count() - 1} more" if error.error_count() > 1 else ""
    return f"is no normcli report: {place}: {first['msg'][:1].lower()}{first['msg'][1:]}{more}"
