"""What normcli says about a file, by name of the weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import normcli
from normcli.formats import open_checkpoint
from normcli.reparam import effective_weight, weights

if TYPE_CHECKING:
    from pathlib import Path

    from modules import Truth
    from torch import Tensor

    from normcli.records import Measurement


@dataclass
class Exhibit:
    """A file, what torch says about it, and what normcli says about it."""

    path: Path
    truth: Truth
    measurements: dict[str, Measurement]
    effective: dict[str, Tensor]


def measure(path: Path) -> dict[str, Measurement]:
    """Name of the weight → what `normcli.inspect` says, vectors and scalars too."""
    report = normcli.inspect(path, everything=True, sha256=False)
    return {each.name: each for each in report.measurements}


def effective_weights(path: Path) -> dict[str, Tensor]:
    """Name of the weight → the tensor that normcli takes for what the layer computes with."""
    found = {}
    with open_checkpoint(path) as checkpoint:
        for weight in weights(checkpoint.tensors, checkpoint.metadata):
            if not hasattr(weight, "family"):
                found[weight.name] = checkpoint.read(weight.name)
            elif not weight.problem:
                norms = (weight, *weight.stack)
                names = {part.name for norm in norms for part in norm.parts.values()}
                parts = {name: checkpoint.read(name) for name in names}
                found[weight.name] = effective_weight(weight, parts)
    return found
