"""How numbers read in a finding."""

from __future__ import annotations

import math

_DIGITS = 6  # significant, as in a baseline
_ALL = 17  # of a float64: no two read the same


def brief(value: float) -> str:
    """Up to six significant digits, `1.016`, `1.234e-05`; `NaN`, `inf` as words."""
    return "NaN" if math.isnan(value) else f"{value:.{_DIGITS}g}"


def apart(limit: float, *values: float) -> tuple[str, ...]:
    """The limit and the values, with as many digits as tell each value from the limit.

    A value that equals the limit reads the same; six digits are the least.
    """
    for digits in range(_DIGITS, _ALL + 1):
        told = f"{limit:.{digits}g}"
        if all(value == limit or f"{value:.{digits}g}" != told for value in values):
            break
    return tuple("NaN" if math.isnan(each) else f"{each:.{digits}g}" for each in (limit, *values))


def entries(count: int, total: int) -> str:
    """A part of the entries of a weight: `3 of 144 entries`."""
    return f"{count} of {total} entries"
