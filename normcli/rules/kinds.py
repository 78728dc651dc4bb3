"""What a parameter of a rule can be, as pydantic validates it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from normcli.records import MEASURABLE

# Largest finite number of each dtype that weights are cast to, as `torch.finfo` has it.
LARGEST = {
    "float8_e4m3fn": 448.0, "float8_e4m3fnuz": 240.0,
    "float8_e5m2": 57344.0, "float8_e5m2fnuz": 57344.0,
    "float16": 65504.0, "bfloat16": 3.3895313892515355e38,
    "float32": 3.4028234663852886e38, "float64": 1.7976931348623157e308,
}  # fmt: skip


def _one_or_more(names: tuple[str, ...]) -> Any:  # noqa: ANN401  an annotation is any
    name = Literal[names]  # type: ignore[valid-type]
    return name | Annotated[list[name], Field(min_length=1)]


# NaN is no number here, nor is an infinity, `true` or the text "1".
POSITIVE = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
FROM_ZERO = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
ABOVE_ONE = Annotated[float, Field(strict=True, gt=1, allow_inf_nan=False)]
SHAPE = list[Annotated[int, Field(strict=True, ge=-1)]]
LAYOUT = Literal["plain", "legacy", "parametrized"]
DTYPES = _one_or_more(tuple(sorted(MEASURABLE)))
CASTS = _one_or_more(tuple(LARGEST))


def names(value: str | list[str]) -> tuple[str, ...]:
    """One name or a list of them, as a list of names."""
    return (value,) if isinstance(value, str) else tuple(value)
