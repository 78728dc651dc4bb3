"""What data-dependent initialization has found and done: one record a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from normcli.records.measurement import plain

if TYPE_CHECKING:
    from normcli.records.header import Shape, Skipped


@dataclass(frozen=True, slots=True)
class Spread:
    """One number of every unit of a layer: the lowest and the highest of them."""

    lowest: float
    highest: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"lowest": plain(self.lowest), "highest": plain(self.highest)}


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and population standard deviation of each unit's output, over batch and positions."""

    mean: Spread
    std: Spread


@dataclass(frozen=True, slots=True)
class LayerInit:
    """A layer that was initialized.

    Attributes:
        name: Of its weight: `SECTION/KEY`, or the KEY alone in a model.
        kind: Class of the module, `Conv2d`.
        shape: Of the weight.
        units: Outputs that have a mean and a standard deviation of their own.
        count: Entries of the output that each of them is taken over.
        before: Of the model as it was, on the batch.
        after: Of the model as it is now, on the same batch.
        notes: What there is to say about the numbers.
    """

    name: str
    kind: str
    shape: Shape
    units: int
    count: int
    before: Moments
    after: Moments
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """What a receipt says of it beside the weight."""
        return {
            "kind": self.kind,
            "units": self.units,
            "count": self.count,
            "mean_before": self.before.mean.to_dict(),
            "std_before": self.before.std.to_dict(),
            "mean_after": self.after.mean.to_dict(),
            "std_after": self.after.std.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Initialization:
    """A model after data-dependent initialization.

    Attributes:
        layers: That were initialized, in the order in which the model runs them.
        left: Weights that are left as they are, and why.
        notes: About the model or the batch as a whole.
    """

    layers: tuple[LayerInit, ...]
    left: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
