"""Arguments with a spelling of their own: sizes, axes, formats, columns and the order of rows."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from normcli.errors import UsageError, closest
from normcli.records import CERTIFICATES, DEVICES
from normcli.render.document import Order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from normcli.records import Axis

_UNITS = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)\s*([a-z]*)", re.IGNORECASE | re.ASCII)


def one_of(name: str, known: Iterable[str], *, what: str, where: str) -> str:
    """The name, if it is known.

    Raises:
        UsageError: It is not; the hint says what was probably meant.
    """
    known = tuple(known)
    if name not in known:
        raise UsageError(f"no {what} is called {name!r}", where=where, hint=closest(name, known))
    return name


def names(text: str | None) -> tuple[str, ...]:
    """Names apart by commas; none where there is no text."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def size(text: str, where: str = "--memory") -> int:
    """Bytes: `2GB` (10⁹ each), `512MiB` (2²⁰ each), or a plain number."""
    match = _SIZE.fullmatch(text.strip())
    unit = match and _UNITS.get(match[2].lower())
    nbytes = int(float(match[1]) * unit) if match and unit else 0
    if nbytes < 1:
        raise UsageError(f"{text!r} is not a size", where=where, hint="write 2GB, 512MiB or bytes")
    return nbytes


def axes(texts: Sequence[str]) -> dict[str, Axis]:
    """Glob → row axis, of `GLOB=AXIS`; a later one of the same glob wins."""
    found: dict[str, Axis] = {}
    for text in texts:
        glob, equals, axis = text.rpartition("=")
        if not (equals and glob and re.fullmatch(r"none|-?\d{1,3}", axis)):
            raise UsageError(
                f"{text!r} is not GLOB=AXIS",
                where="--dim",
                hint="the axis is an integer or none: --dim 'up.*=1'",
            )
        found[glob] = None if axis == "none" else int(axis)
    return found


def columns(text: str | None, known: Iterable[str]) -> tuple[str, ...]:
    """The columns of `--columns`, each one known."""
    known = tuple(known)
    return tuple(one_of(each, known, what="column", where="--columns") for each in names(text))


def order(sort: str | None, limit: int | None, known: Iterable[str]) -> Order:
    """The order of `--sort COLUMN[:desc]` and `--limit`."""
    if sort is None:
        return Order(limit=limit)
    column, colon, direction = sort.partition(":")
    if colon and direction not in ("asc", "desc"):
        raise UsageError(
            f"{sort!r} is not COLUMN[:desc]", where="--sort", hint=f"write {column}:desc"
        )
    return Order(one_of(column, known, what="column", where="--sort"), direction == "desc", limit)


def fraction(option: str, value: float) -> None:
    """Refuse a value that is not between 0 and 1."""
    if not 0 < value < 1:
        raise UsageError(f"{value} is not between 0 and 1", where=option)


def positive(option: str, value: float | None) -> None:
    """Refuse a value that is not a finite number above 0; None is fine."""
    if value is not None and not 0 < value < math.inf:
        raise UsageError(f"{value} is not a number above 0", where=option)


def bracket(rtol: float, certificate: str, failure_probability: float) -> None:
    """Refuse a bracket of σ₁ that cannot be meant."""
    fraction("--rtol", rtol)
    fraction("--failure-probability", failure_probability)
    one_of(certificate, CERTIFICATES, what="certificate", where="--certificate")


def device(name: str) -> str:
    """The device of `--device`; whether this machine has it is only known to torch."""
    return one_of(name, DEVICES, what="device", where="--device")


def one_file(expect_sha256: str | None, paths: Sequence[str]) -> None:
    """Refuse a pin for several inputs, and one that no file can have."""
    if expect_sha256 is None:
        return
    where = "--expect-sha256"
    if len(paths) > 1:
        raise UsageError(f"pins one input, {len(paths)} were given", where=where)
    if not re.fullmatch(r"[0-9a-fA-F]{64}", expect_sha256.strip()):
        raise UsageError(f"{expect_sha256!r} is not 64 hexadecimal digits", where=where)
