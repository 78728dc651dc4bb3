"""How numbers read: four significant digits, percent, counts and bytes with their units."""

from __future__ import annotations

import math

_DIGITS = 4  # significant, in what is made for reading
_LARGEST = 1e6  # from here on, and below the next, as 1.234e+06
_SMALLEST = 1e-4
_FEW = 2  # digits, where many numbers stand for one thing
TO = "…"  # between the ends of a range


def brief(value: float, digits: int = _DIGITS) -> str:
    """Four significant digits or as many as said, `1.016`, `1.234e-05`; `NaN`, `inf` as words."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == 0:
        return "0"
    if not _SMALLEST <= abs(value) < _LARGEST:
        return f"{value:.{digits - 1}e}"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])  # after rounding: 0.99999 is 1.000
    return f"{value:.{max(digits - 1 - exponent, 0)}f}"


def span(lowest: float, highest: float) -> str:
    """A range with two significant digits, `-0.31…0.42`; `1.0` where both ends read the same."""
    return TO.join(dict.fromkeys((brief(lowest, _FEW), brief(highest, _FEW))))


def near(target: int, distance: float) -> str:
    """How close numbers are to the target, `1 ±2.4e-07`; NaN and infinity alone."""
    told = brief(distance, _FEW)
    return f"{target} ±{told}" if math.isfinite(distance) else told


def percent(fraction: float) -> str:
    """A fraction in percent, two digits after the point: `0.12 %`, `<0.01 %`, `12.00 %`."""
    if not math.isfinite(fraction):
        return brief(fraction)
    value = fraction * 100
    return "<0.01 %" if 0 < abs(value) < 0.005 else f"{value:.2f} %"


def deviation(fraction: float) -> str:
    """A small fraction in percent, two significant digits: `29 %`, `0.0031 %`, `2.1e-05 %`."""
    if not math.isfinite(fraction):
        return brief(fraction)
    value = fraction * 100
    return (
        f"{value:.0f} %" if abs(value) >= 99.5 or value == 0 else f"{value:#.2g}".rstrip(".") + " %"
    )


def count(number: int) -> str:
    """A count with its thousands apart: `18,432`."""
    return f"{number:,}"


def counted(number: int, singular: str, plural: str = "") -> str:
    """A count with its noun: `1 weight`, `2 weights`."""
    return f"{count(number)} {singular if number == 1 else plural or singular + 's'}"


def size(nbytes: int) -> str:
    """Bytes in decimal units, as `--memory` takes them: `1.33 MB`."""
    value = float(nbytes)
    if value < 1000:
        return f"{nbytes} B"
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.5:
            return f"{value:.3g} {unit}"
    return f"{value / 1000:.3g} TB"


def seconds(duration: float) -> str:
    """A duration: `0.84 s`, `12.3 s`, `3 min 20 s`."""
    if duration < 9.95:
        return f"{duration:.2f} s"
    if duration < 99.5:
        return f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} min {rest} s"
