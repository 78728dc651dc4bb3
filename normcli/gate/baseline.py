"""The baseline file: what was recorded of each weight, one a line, to be kept beside the code."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normcli.errors import CheckpointError, UsageError
from normcli.formats.budgets import Budgets
from normcli.formats.spelling import quoted
from normcli.formats.strict_json import parse_json, unique
from normcli.gate.judging import in_scope
from normcli.records import ITEMSIZE, Recorded, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import NoReturn

    from normcli.records import Report, StateValues

SCHEMA, VERSION = "normcli.baseline", 1
NUMBERS = ("frobenius", "spectral_norm", "stable_rank")
_DIGITS = 6  # significant: what another machine computes as well
_WORDS = {"nan": math.nan, "inf": math.inf}
_CONFLICT = re.compile(rb"^(?:<{7}|={7}|>{7}|\|{7})(?=[ \r\n]|$)", re.MULTILINE)


def file_name(path: str | os.PathLike[str]) -> str:
    """What a baseline calls a checkpoint: the last part of its path, a file or a folder."""
    return os.path.basename(os.path.abspath(path))  # noqa: PTH100, PTH119 - links stay, `.` goes


def recorded(report: Report) -> dict[str, Recorded]:
    """What a baseline has of each weight of two axes or more, and of each one under a norm."""
    return {
        each.name: Recorded(
            shape=each.shape,
            dtype=each.dtype,
            state=_spelled(each.state),
            frobenius=_rounded(each.frobenius),
            spectral_norm=_rounded(each.spectral_norm.value if each.spectral_norm else None),
            stable_rank=_rounded(each.stable_rank),
        )
        for each in report.measurements
        if in_scope(each, "weights")
    }


def baseline_text(checkpoints: Mapping[str, Mapping[str, Recorded]]) -> str:
    """The file: ASCII, sorted by name, one weight a line; equal content is equal text."""
    head = f'{{"schema": {_json(SCHEMA)}, "schema_version": {VERSION}, "checkpoints": {{'
    entries = [_entry(name, checkpoints[name]) for name in sorted(checkpoints)]
    return head + "".join(f"\n{entry}" for entry in _apart(entries)) + "\n}}\n"


def line_record(weight: Recorded) -> dict[str, Any]:
    """A weight as its line has it: what does not exist is absent."""
    record: dict[str, Any] = {"shape": list(weight.shape), "dtype": weight.dtype}
    if weight.state:
        record["state"] = weight.state
    numbers = {name: plain(getattr(weight, name)) for name in NUMBERS}
    return record | {name: number for name, number in numbers.items() if number is not None}


def read_baseline(path: str | os.PathLike[str]) -> dict[str, dict[str, Recorded]]:
    """File name of a checkpoint → `SECTION/KEY` → what was recorded of the weight.

    Raises:
        UsageError: It cannot be read, or anything in it is not as `baseline_text` writes it.
    """
    try:
        return _checkpoints(_parsed(_bytes(Path(path))))
    except CheckpointError as error:
        raise UsageError(error.message, where=str(path)) from error
    except UsageError as error:
        error.where = str(path)
        raise


def _spelled(state: StateValues | None) -> str:
    if state is None:
        return ""
    return "+".join(f"{each.family} {each.layout}" for each in state.stack or (state,))


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")


def _entry(name: str, weights: Mapping[str, Recorded]) -> str:
    lines = [
        f" {_json(weight)}: {_json(line_record(weights[weight]))}" for weight in sorted(weights)
    ]
    return f"{_json(name)}: {{" + "".join(f"\n{line}" for line in _apart(lines)) + "\n}"


def _apart(entries: list[str]) -> Iterator[str]:
    for number, entry in enumerate(entries, 1):
        yield entry + ("," if number < len(entries) else "")


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False)


def _bytes(path: Path) -> bytes:
    limit = Budgets().header
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except FileNotFoundError:
        hint = "write it with: normcli baseline write PATH..."
        raise UsageError("there is no such baseline", hint=hint) from None
    except (OSError, ValueError) as error:  # ValueError: a path that holds NUL
        raise UsageError(getattr(error, "strerror", None) or str(error)) from error
    if len(raw) > limit:
        raise UsageError(f"has more than {limit} bytes, expected a baseline")
    return raw


def _parsed(raw: bytes) -> Any:  # noqa: ANN401 - JSON is any
    marker = _CONFLICT.search(raw)
    if marker:
        line = raw.count(b"\n", 0, marker.start()) + 1
        hint = "take either side whole, then run normcli baseline update on the checkpoints"
        raise UsageError(f"line {line} is the mark of a merge conflict, expected JSON", hint=hint)
    return parse_json(raw, "the baseline", Budgets(), unique)


def _checkpoints(document: object) -> dict[str, dict[str, Recorded]]:
    known = ("schema", "schema_version", "checkpoints")
    fields = _object(document, "the baseline", required=known)
    if fields["schema"] != SCHEMA:
        found = _shown(fields["schema"])
        raise UsageError(f"'schema' is {found}, expected {SCHEMA!r}")
    if type(fields["schema_version"]) is not int or fields["schema_version"] != VERSION:
        found, hint = _shown(fields["schema_version"]), "another version of normcli wrote it"
        raise UsageError(f"'schema_version' is {found}, expected {VERSION}", hint=hint)
    checkpoints = _object(fields["checkpoints"], "'checkpoints'")
    return {
        name: {
            weight: _read(entry, f"{quoted(weight)} of {quoted(name)}")
            for weight, entry in _object(weights, quoted(name)).items()
        }
        for name, weights in checkpoints.items()
    }


def _read(entry: object, where: str) -> Recorded:
    fields = _object(entry, where, required=("shape", "dtype"), optional=("state", *NUMBERS))
    shape, dtype, state = fields["shape"], fields["dtype"], fields.get("state", "")
    if not isinstance(shape, list) or not all(map(_is_size, shape)):
        _wrong(where, "shape", shape, "a list of sizes")
    if not isinstance(dtype, str) or dtype not in ITEMSIZE:
        _wrong(where, "dtype", dtype, "the name of a dtype")
    if not isinstance(state, str):
        _wrong(where, "state", state, "text")
    numbers = {name: _number(fields, name, where) for name in NUMBERS}
    return Recorded(tuple(shape), dtype, state, **numbers)


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _number(fields: Mapping[str, Any], name: str, where: str) -> float | None:
    if name not in fields:
        return None
    value = fields[name]
    if isinstance(value, str) and value in _WORDS:
        return _WORDS[value]
    if type(value) not in (int, float) or not 0 <= value <= sys.float_info.max:
        _wrong(where, name, value, "a finite number from 0 on, 'nan' or 'inf'")
    return float(value)


def _object(
    value: object, where: str, *, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    """An object; with `required` of these fields, and of no others but the `optional` ones."""
    if not isinstance(value, dict):
        raise UsageError(f"{where} is {_shown(value)}, expected an object")
    if required:
        missing = [name for name in required if name not in value]
        unknown = [name for name in value if name not in (*required, *optional)]
        if missing or unknown:
            fault = f"has no {missing[0]!r}" if missing else f"has a field {quoted(unknown[0])}"
            expected = ", ".join((*required, *optional))
            raise UsageError(f"{where} {fault}, expected the fields {expected}")
    return value


def _wrong(where: str, name: str, value: object, expected: str) -> NoReturn:
    raise UsageError(f"{name!r} of {where} is {_shown(value)}, expected {expected}")


def _shown(value: object) -> str:
    """A value as a message repeats it; one that may nest deep only by its kind."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    return quoted(value)
