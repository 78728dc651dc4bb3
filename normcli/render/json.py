"""JSON: the whole record, ASCII only, one weight a line so that two reports can be compared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from normcli.records import NormState, Report, file_record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from normcli.records import TensorRef, Weight
    from normcli.render.document import Document
    from normcli.render.listed import Listed
    from normcli.render.page import Page

SCHEMA_VERSION = 1


def write_json(document: Document, page: Page) -> None:
    """One JSON object, as `<schema>.schema.json` beside this module describes it."""
    page.write(f'{head(document.kind.schema, document.version)},\n"checkpoints": [')
    for number, sheet in enumerate(document.sheets):
        page.write(",{" if number else "{")
        for text in lined(record(sheet.source), ("weights", "skipped", "files")):
            page.write(text)
        page.write("}")
    page.write("]}\n")


def head(schema: str, version: str) -> str:
    """How a document begins, its brace still open: which schema it follows, and who wrote it."""
    fields = {"schema": schema, "schema_version": SCHEMA_VERSION, "normcli": version}
    return compact(fields)[:-1]


def compact(value: object) -> str:
    """A value on one line; what JSON cannot hold was made plain before."""
    return json.dumps(value, allow_nan=False)


def record(source: Report | Listed) -> dict[str, Any]:
    """A checkpoint as its schema has it."""
    return source.to_dict() if isinstance(source, Report) else _listing(source)


def listed_record(weight: Weight, tied_to: str | None) -> dict[str, Any]:
    """A weight of a listing; what does not exist is absent."""
    entry: dict[str, Any] = {
        "name": weight.name,
        "shape": list(weight.shape),
        "dtype": weight.dtype,
        "parameters": weight.parameters,
        "bytes": weight.nbytes,
    }
    if isinstance(weight, NormState):
        entry["state"] = _state(weight)
    if tied_to is not None:
        entry["tied_to"] = tied_to
    entry["notes"] = _notes(weight)
    return entry


def lined(record: dict[str, Any], lists: Collection[str]) -> Iterator[str]:
    """The fields of a record, a line each; of some lists, one entry a line."""
    for number, (name, value) in enumerate(record.items()):
        yield "" if number == 0 else ",\n "
        if name not in lists or not value:
            yield f"{compact(name)}: {compact(value)}"
            continue
        yield f"{compact(name)}: [\n  "
        for index, entry in enumerate(value):
            yield ("" if index == 0 else ",\n  ") + compact(entry)
        yield "]"


def _listing(source: Listed) -> dict[str, Any]:
    listing = source.listing
    entry = file_record(listing.path, listing.format, listing.files)
    entry["weights"] = [listed_record(w, source.tied.get(w.name)) for w in listing.weights]
    entry["skipped"] = [{"name": s.name, "reason": s.reason} for s in listing.skipped]
    entry["notes"] = list(listing.notes)
    return entry


def _state(state: NormState) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "family": state.family,
        "layout": state.layout,
        "dims": list(state.axes),
        "parts": {role: _part(ref) for role, ref in state.parts.items()},
    }
    if state.problem:
        entry["problem"] = state.problem
    if state.stack:
        entry["stack"] = [_state(each) for each in state.stack]
    return entry


def _part(ref: TensorRef) -> dict[str, Any]:
    return {
        "name": ref.name,
        "shape": list(ref.shape),
        "dtype": ref.dtype,
        "bytes": ref.nbytes,
    }


def _notes(weight: Weight) -> list[str]:
    if isinstance(weight, NormState):
        return list(weight.notes)
    return [weight.note] if weight.note else []
