"""`inspect`: every weight of a checkpoint, measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike

    from normcli.records import Axis, Measurement, Report


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pass over one checkpoint is: weights and bytes, done and in all."""

    weights: int
    total_weights: int
    nbytes: int
    total_nbytes: int


def inspect(
    path: str | PathLike[str],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    metrics: Sequence[str] | None = None,
    dims: Mapping[str, Axis] | None = None,
    power_iterations: int | None = None,
    seed: int = 0,
    everything: bool = False,
    jobs: int | None = None,
    memory: int | None = None,
    allow_opaque: bool = False,
    sha256: bool = True,
    expect_sha256: str | None = None,
    observe: Callable[[Measurement, Progress], None] | None = None,
) -> Report:
    """Measure every weight of a checkpoint."""
    raise NotImplementedError
