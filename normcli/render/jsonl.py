"""JSON lines: one weight a line, each with the path of its checkpoint, as soon as it is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.records import Report
from normcli.render.json import compact, listed_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from normcli.records import Measurement
    from normcli.render.document import Document
    from normcli.render.listed import Listed
    from normcli.render.page import Page


def write_jsonl(document: Document, page: Page) -> None:
    """Every weight of every checkpoint, in order; what was skipped is only in `json`."""
    for sheet in document.sheets:
        for line in _lines(sheet.source):
            page.write(line)


def measured_line(path: str, weight: Measurement) -> str:
    """One weight as in the JSON report, with the path of its checkpoint first."""
    return compact({"path": path, **weight.to_record()}) + "\n"


def _lines(source: Report | Listed) -> Iterator[str]:
    if isinstance(source, Report):
        for measurement in source.measurements:
            yield measured_line(source.path, measurement)
        return
    path = source.listing.path
    for weight in source.listing.weights:
        entry = listed_record(weight, source.tied.get(weight.name))
        yield compact({"path": path, **entry}) + "\n"
