"""Listings as a document: the columns of a weight whose header alone is known."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from normcli.records import NormState
from normcli.render.columns import amount, shape, tally, words
from normcli.render.document import Document, Kind, Order, Sheet, cut

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from normcli.records import Axis, Listing, Weight
    from normcli.render.columns import Row

_COLUMNS = (
    words("path", "checkpoint"),
    words("name", "weight", 0),
    shape("shape", "shape", 1),
    words("dtype", "dtype", 3),
    tally("parameters", "parameters", 5),
    amount("bytes", "size", 4),
    words("state", "state", 2),
    words("state_family", "family"),
    words("state_layout", "layout", 6),
    words("state_dims", "dim", 7),
    words("state_parts", "stored as", 8),
    words("tied_to", "tied to", 9),
    words("notes", "notes"),
)

LISTING = Kind(
    schema="normcli.listing",
    columns=MappingProxyType({column.name: column for column in _COLUMNS}),
    reading=(
        "name", "shape", "dtype", "parameters", "bytes", "state", "state_layout", "state_dims",
    ),
    flat=tuple(column.name for column in _COLUMNS if column.name != "state"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Listed:
    """A listing, and which of its weights are views of another's bytes.

    Attributes:
        listing: As the command gave it, without what `--limit` cut.
        tied: Name of a weight → name of the first weight that views the same bytes.
    """

    listing: Listing
    tied: Mapping[str, str]


def listing_document(
    listings: Sequence[Listing],
    *,
    version: str,
    order: Order,
    chosen: tuple[str, ...] = (),
    seconds: float | None = None,
) -> Document:
    """The document of some listings, one sheet each, in order."""
    sheets = tuple(_sheet(listing, order) for listing in listings)
    return Document(LISTING, version, sheets, chosen, seconds)


def listed_row(path: str, weight: Weight, tied: Mapping[str, str]) -> Row:
    """A listed weight flat, by column name; None where there is no such thing."""
    return {
        "path": path,
        "name": weight.name,
        "shape": "x".join(map(str, weight.shape)),
        "dtype": weight.dtype,
        "parameters": weight.parameters,
        "bytes": weight.nbytes,
        **_state_cells(weight),
        "tied_to": tied.get(weight.name),
        "notes": "; ".join(remarks(weight)) or None,
    }


def remarks(weight: Weight) -> tuple[str, ...]:
    """What there is to say about a weight, worst first."""
    if isinstance(weight, NormState):
        return (weight.problem, *weight.notes) if weight.problem else weight.notes
    return (weight.note,) if weight.note else ()


def _sheet(listing: Listing, order: Order) -> Sheet:
    weights, tied = listing.weights, _tied(listing.weights)
    rows = [listed_row(listing.path, weight, tied) for weight in weights]
    shown = order.arrange(rows)
    kept = tuple(weights[i] for i in shown)
    notes = cut(listing.notes, len(kept), len(weights))
    return Sheet(
        path=listing.path,
        format=listing.format,
        nbytes=sum(each.nbytes for each in listing.files),
        files=len(listing.files),
        rows=tuple(rows[i] for i in shown),
        total=len(weights),
        parameters=sum(weight.parameters for weight in weights),
        families=Counter(w.family if isinstance(w, NormState) else "" for w in weights),
        remarks=tuple((weight.name, _sentences(weight, tied)) for weight in kept),
        skipped=listing.skipped,
        notes=listing.notes,
        source=Listed(replace(listing, weights=kept, notes=notes), tied),
    )


def _sentences(weight: Weight, tied: Mapping[str, str]) -> tuple[str, ...]:
    owner = tied.get(weight.name)
    return (f"tied to {owner!r}", *remarks(weight)) if owner else remarks(weight)


def _tied(weights: tuple[Weight, ...]) -> dict[str, str]:
    first: dict[str, str] = {}
    tied = {}
    for weight in weights:
        if isinstance(weight, NormState) or not weight.storage:
            continue
        owner = first.setdefault(weight.storage, weight.name)
        if owner != weight.name:
            tied[weight.name] = owner
    return tied


def _state_cells(weight: Weight) -> Row:
    if not isinstance(weight, NormState):
        return {}
    return {
        "state": "+".join(each.family for each in weight.stack) or weight.family,
        "state_family": weight.family,
        "state_layout": weight.layout,
        "state_dims": " or ".join(map(_axis, weight.axes)) or None,
        "state_parts": ", ".join(f"{role}: {ref.key}" for role, ref in weight.parts.items()),
    }


def _axis(axis: Axis) -> str:
    return "none" if axis is None else str(axis)
