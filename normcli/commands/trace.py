"""`trace`: the power iteration of one weight, step by step beside the exact σ₁."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.commands.naming import named
from normcli.commands.pin import expect
from normcli.formats import open_checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from normcli.records import Axis, Trace


def trace(
    path: str | PathLike[str],
    weight: str,
    *,
    iterations: int = 20,
    seed: int = 0,
    rtol: float = 1e-6,
    certificate: str = "probabilistic",
    failure_probability: float = 1e-10,
    dims: Mapping[str, Axis] | None = None,
    allow_opaque: bool = False,
    budget_scale: float = 1.0,
    expect_sha256: str | None = None,
) -> Trace:
    """Follow the power iteration of one weight: σ̂ after each step, and how far from σ₁ it is.

    Under a spectral-norm state it is that of the original, from the stored u and v in the update
    order of the layout: what the layer itself does in training. Under any other state, and of a
    plain weight, it is that of the effective weight from a seeded random start.

    Args:
        path: A file, a folder of shards, an index, or one shard.
        weight: `SECTION/KEY`, or a KEY that stands in one section.
        iterations: Steps to take; 0 shows the start.
        seed: Of every random start.
        rtol: Relative width of the bracket that holds σ₁.
        certificate: How its upper end is vouched for, one of `normcli.records.CERTIFICATES`.
        failure_probability: That a probabilistic bracket does not hold.
        dims: Glob → row axis, where the file does not tell.
        allow_opaque: Read a file that holds foreign objects.
        budget_scale: Factor on the limits of `normcli.formats.budgets`, for a trusted large file.
        expect_sha256: Hex digest that the file must have, checked before anything is computed.

    Raises:
        CheckpointError: The file cannot be read, is refused, or tells no effective weight.
        UsageError: The weight is not there or no matrix, or an option cannot be meant.
    """
    with open_checkpoint(path, allow_opaque=allow_opaque, budget_scale=budget_scale) as checkpoint:
        if expect_sha256 is not None:
            expect(checkpoint, expect_sha256)
        chosen = named(checkpoint, weight)

        from normcli.measure import TraceRequest, traced  # torch: only for a weight that is there

        request = TraceRequest(iterations, seed, rtol, certificate, failure_probability, dims)
        found = traced(checkpoint, chosen, request)
        checkpoint.check_unchanged()
        return found
