"""Which weights a writer takes, which it leaves as they are, and what is a mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.errors import UsageError
from normcli.formats.spelling import quoted
from normcli.records import NormState, Spelling
from normcli.selection import chosen, matcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normcli.records import Axis, TensorRef, Weight
    from normcli.rewrite.options import Options


def asked_for(weights: Sequence[Weight], options: Options) -> list[Weight]:
    """The weights that `include` and `exclude` mean.

    Raises:
        UsageError: A pattern of `include` means nothing: most likely a slip.
    """
    for pattern in options.include:
        if not any(map(matcher([pattern]), weights)):
            raise UsageError(
                f"{pattern!r} matches none of {len(weights)} tensors",
                where="--include",
                hint="normcli ls shows their names",
            )
    wanted = chosen(options.include, options.exclude)
    return [weight for weight in weights if wanted(weight)]


def is_named(weight: Weight, options: Options) -> bool:
    """Whether `include` spells its name or its key, not only a pattern that matches it."""
    return weight.name in options.include or weight.key in options.include


def spelling(weight: Weight) -> Spelling:
    """How a weight is stored."""
    if not isinstance(weight, NormState):
        return Spelling()
    norms = weight.stack or (weight,)
    return Spelling("+".join(norm.family for norm in norms), weight.layout)


def parts_of(weight: Weight) -> tuple[TensorRef, ...]:
    """Every tensor that a weight is stored as, each once, in the order of the state."""
    if not isinstance(weight, NormState):
        return (weight,)
    norms = weight.stack or (weight,)
    parts = {part.name: part for norm in norms for part in norm.parts.values()}
    return tuple(parts.values())


def planned_axis(state: NormState, axis: Axis | str) -> Axis | str:
    """The axis from outside, else the only one that the shapes allow; `auto` where several do."""
    return state.axes[0] if axis == "auto" and len(state.axes) == 1 else axis


def checked_axis(weight: Weight, axis: Axis | str) -> Axis | str:
    """The axis from outside, a negative one counted from the end.

    Raises:
        UsageError: The weight has no such axis.
    """
    if axis is None or isinstance(axis, str):
        return axis
    count = len(weight.shape)
    if not -count <= axis < count:
        raise UsageError(
            f"axis {axis} was asked for {quoted(weight.name)}, which has {count} axes",
            where="--dim",
        )
    return axis % count
