"""`inspect`: every weight of a checkpoint, measured."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from normcli.commands.choice import listed
from normcli.commands.pin import expect
from normcli.commands.progress import Progress
from normcli.errors import UsageError, closest
from normcli.formats import open_checkpoint
from normcli.records import METRIC_NAMES, Report
from normcli.stream import background, default_budget, default_workers, ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from os import PathLike

    from normcli.formats.base import Checkpoint
    from normcli.records import Axis, InputFile, Measurement, Weight


def inspect(
    path: str | PathLike[str],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    metrics: Sequence[str] | None = None,
    dims: Mapping[str, Axis] | None = None,
    power_iterations: int | None = None,
    seed: int = 0,
    rtol: float = 1e-6,
    certificate: str = "probabilistic",
    failure_probability: float = 1e-10,
    everything: bool = False,
    jobs: int | None = None,
    memory: int | None = None,
    device: str = "cpu",
    allow_opaque: bool = False,
    budget_scale: float = 1.0,
    sha256: bool = True,
    expect_sha256: str | None = None,
    observe: Callable[[Measurement, Progress], None] | None = None,
) -> Report:
    """Measure every weight of a checkpoint: ‖W‖_F, exact σ₁, norm state, power iteration.

    Nothing in the file is run. All numbers of a weight under a norm state are those of its
    effective weight.

    Args:
        path: A file, a folder of shards, an index, or one shard.
        include: Globs on `SECTION/KEY` or KEY; all weights without one.
        exclude: Globs of weights to leave out.
        metrics: Names of `normcli.records.METRIC_NAMES`; all of them without.
        dims: Glob → row axis, where the file does not tell.
        power_iterations: Steps; 1 from a stored u and 15 from a random start without.
        seed: Of every random start.
        rtol: Relative width of the bracket that holds σ₁.
        certificate: How its upper end is vouched for, one of `normcli.records.CERTIFICATES`.
        failure_probability: That a probabilistic bracket does not hold, for each weight.
        everything: Vectors and scalars as well.
        jobs: Weights measured at the same time; one a processor without.
        memory: Bytes of weights in flight; a quarter of the machine's, 8 GiB at most,
            without. A weight that needs more is measured alone.
        device: Where spectral norms are computed, one of `normcli.records.DEVICES`; every other
            number comes from the CPU.
        allow_opaque: Measure the tensors of a file that holds foreign objects.
        budget_scale: Factor on the limits of `normcli.formats.budgets`, for a trusted large file.
        sha256: Whether the report carries the hash of every byte of the file.
        expect_sha256: Hex digest that the file must have, checked before anything is measured.
        observe: Called with each measurement, in order.

    Raises:
        CheckpointError: The file cannot be read, or is refused.
        UsageError: An option cannot be meant.
    """
    wanted = _metrics(metrics)
    with open_checkpoint(path, allow_opaque=allow_opaque, budget_scale=budget_scale) as checkpoint:
        if expect_sha256 is not None:
            expect(checkpoint, expect_sha256)
        weights, skipped, notes = listed(checkpoint, include, exclude, everything=everything)
        with background(partial(hashed_files, checkpoint, wanted=sha256)) as hashed:
            from normcli.measure import Options, measure  # torch: only for a file that is sound

            results = measure(
                checkpoint,
                weights,
                Options(
                    metrics=wanted,
                    power_iterations=power_iterations,
                    seed=seed,
                    dims=dims,
                    rtol=rtol,
                    certificate=certificate,
                    failure_probability=failure_probability,
                    device=device,
                ),
                jobs=jobs or default_workers(),
                budget=memory or default_budget(),
            )
            measurements = tuple(_observed(results, weights, observe))
            files = hashed()
        checkpoint.check_unchanged()
        return Report(checkpoint.path, checkpoint.format, files, measurements, skipped, notes)


def _metrics(names: Sequence[str] | None) -> frozenset[str]:
    for name in names or ():
        if name not in METRIC_NAMES:
            hint = closest(name, METRIC_NAMES)
            raise UsageError(f"no metric is called {name!r}", where="--metrics", hint=hint)
    return frozenset(METRIC_NAMES if names is None else names)


def hashed_files(
    checkpoint: Checkpoint, unwanted: Callable[[], bool], *, wanted: bool
) -> tuple[InputFile, ...]:
    """The files with their sha256, several at a time; as they are where it is not wanted."""
    if not wanted:
        return checkpoint.files
    hashes = ordered_map(
        lambda file: checkpoint.digest(file, unwanted),
        checkpoint.files,
        workers=default_workers(),
        cost=lambda _: 1,
        budget=len(checkpoint.files),
    )
    return tuple(hashes)


def _observed(
    results: Iterator[Measurement],
    weights: Sequence[Weight],
    observe: Callable[[Measurement, Progress], None] | None,
) -> Iterator[Measurement]:
    """The measurements, each shown to `observe` as it comes."""
    total = sum(weight.nbytes for weight in weights)
    done = 0
    for number, (weight, measurement) in enumerate(zip(weights, results, strict=True), 1):
        done += weight.nbytes
        if observe is not None:
            observe(measurement, Progress(number, len(weights), done, total))
        yield measurement
