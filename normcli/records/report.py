"""What is known of one checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normcli.records.header import InputFile, Opaque, Skipped, Weight
    from normcli.records.measurement import Measurement


@dataclass(frozen=True, slots=True)
class Report:
    """What one checkpoint holds: measured weights, what was skipped, and about which bytes.

    Attributes:
        path: As the user gave it.
        format: `safetensors`, `torch-zip`, `torch-legacy`, `torchscript`,
            `sharded-safetensors` or `sharded-torch`.
        files: Its files; one, or the shards in order.
        measurements: In checkpoint order.
        skipped: What was not measured, and why.
        notes: About the file as a whole.
        opaque: Objects in the file that are neither tensors nor plain data; never built.
    """

    path: str
    format: str
    files: tuple[InputFile, ...]
    measurements: tuple[Measurement, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    opaque: tuple[Opaque, ...] = ()

    @property
    def failure_probability(self) -> float | None:
        """That any bracket does not hold, at most: the sum over all; None where there is none."""
        norms = [each.spectral_norm for each in self.measurements if each.spectral_norm is not None]
        return min(1.0, math.fsum(norm.failure_probability for norm in norms)) if norms else None

    def to_records(self) -> list[dict[str, Any]]:
        """One plain dictionary a weight, as in the JSON report: ready for a data frame."""
        return [measurement.to_record() for measurement in self.measurements]

    def to_dict(self) -> dict[str, Any]:
        """The checkpoint as in the JSON report (schema `normcli.report`, version 1)."""
        record = file_record(self.path, self.format, self.files)
        if self.failure_probability is not None:
            record["failure_probability"] = self.failure_probability
        record["weights"] = self.to_records()
        record["skipped"] = [{"name": s.name, "reason": s.reason} for s in self.skipped]
        if self.opaque:
            record["opaque"] = [
                {"what": each.what, "count": each.count, "place": each.place}
                for each in self.opaque
            ]
        record["notes"] = list(self.notes)
        return record


@dataclass(frozen=True, slots=True)
class Listing:
    """What the header of one checkpoint tells: weights and norm states, nothing of them read.

    Attributes:
        path: As in `Report`.
        format: As in `Report`.
        files: As in `Report`, without sha256.
        weights: In checkpoint order.
        skipped: Tensors that are not weights, and why.
        notes: About the file as a whole.
    """

    path: str
    format: str
    files: tuple[InputFile, ...]
    weights: tuple[Weight, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


def file_record(path: str, file_format: str, files: tuple[InputFile, ...]) -> dict[str, Any]:
    """How the record of a checkpoint begins: which files it is, and their sha256 where known."""
    record: dict[str, Any] = {
        "path": path,
        "format": file_format,
        "bytes": sum(each.nbytes for each in files),
    }
    if len(files) == 1 and files[0].sha256:
        record["sha256"] = files[0].sha256
    if len(files) > 1:
        record["files"] = [_shard_record(each) for each in files]
    return record


def _shard_record(each: InputFile) -> Mapping[str, Any]:
    record = {"name": each.name, "bytes": each.nbytes, "sha256": each.sha256}
    return {name: value for name, value in record.items() if value != ""}
