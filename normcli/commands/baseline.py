"""`baseline`: the norms of some checkpoints in a file that `check` compares with."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from normcli.commands.inspect import inspect
from normcli.commands.ls import ls
from normcli.durable import check_target, new_file
from normcli.errors import UsageError, closest
from normcli.formats.spelling import quoted
from normcli.gate.baseline import baseline_text, file_name, read_baseline, recorded
from normcli.records import BASELINE_NAME
from normcli.selection import chosen, matcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from os import PathLike

    from normcli.commands.progress import Progress
    from normcli.records import Axis, Measurement, Recorded, Report, Weight

    Baselines = Mapping[str, Mapping[str, Recorded]]

# Of σ₁: that the last of six digits is right but where it is at the edge of rounding; half again
# as much work as at 1e-6.
RTOL = 1e-8


@dataclass(frozen=True, slots=True)
class Survey:
    """One checkpoint as a baseline takes it.

    Attributes:
        report: The weights that were asked for, with what is recorded of them.
        weights: All that the header has, where some were not asked for.
        include: Globs that say which weights were asked for; all without one.
        exclude: Globs of those that were not.
    """

    report: Report
    weights: tuple[Weight, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a baseline file.

    Attributes:
        path: Of the file.
        checkpoints: In it, whether they were asked for or not.
        weights: Likewise.
        changed: Weights that were recorded otherwise before.
        new: Weights that were not in it.
        gone: Weights that are no longer in it.
        written: Whether the file is another one than before.
    """

    path: str
    checkpoints: int
    weights: int
    changed: int
    new: int
    gone: int
    written: bool


def survey(
    path: str | PathLike[str],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    dims: Mapping[str, Axis] | None = None,
    seed: int = 0,
    jobs: int | None = None,
    memory: int | None = None,
    device: str = "cpu",
    allow_opaque: bool = False,
    budget_scale: float = 1.0,
    observe: Callable[[Measurement, Progress], None] | None = None,
) -> Survey:
    """Measure of a checkpoint what a baseline records; the options are those of `inspect`.

    Raises:
        CheckpointError: The file cannot be read, or is refused.
        UsageError: An option cannot be meant.
    """
    weights: tuple[Weight, ...] = ()
    if include or exclude:
        listing = ls(path, everything=True, allow_opaque=allow_opaque, budget_scale=budget_scale)
        weights = listing.weights
    report = inspect(
        path,
        include=include,
        exclude=exclude,
        metrics=("frobenius", "spectral_norm", "stable_rank"),
        dims=dims,
        seed=seed,
        rtol=RTOL,
        everything=True,
        jobs=jobs,
        memory=memory,
        device=device,
        allow_opaque=allow_opaque,
        budget_scale=budget_scale,
        sha256=False,
        observe=observe,
    )
    return Survey(report, weights, tuple(include), tuple(exclude))


def write(
    surveys: Sequence[Survey],
    *,
    baseline: str | PathLike[str] = BASELINE_NAME,
    force: bool = False,
) -> Kept:
    """Write a baseline of some checkpoints, and of no others.

    Args:
        surveys: One of each checkpoint.
        baseline: The file.
        force: Whether one that exists is replaced.

    Raises:
        OutputError: The file exists, or cannot be written.
        UsageError: Two checkpoints have one name, or a glob means nothing.
    """
    distinct([each.report.path for each in surveys])
    before: Baselines = {}
    with suppress(UsageError):  # what is no baseline is replaced all the same
        before = read_baseline(baseline)
    _refuse_idle(surveys, {})
    after = {file_name(each.report.path): recorded(each.report) for each in surveys}
    return _kept(Path(baseline), before, after, surveys, force=force)


def update(surveys: Sequence[Survey], *, baseline: str | PathLike[str] = BASELINE_NAME) -> Kept:
    """Replace what a baseline has of the weights that were asked for; all else stays.

    A weight that the checkpoint no longer has goes if the globs mean it.

    Args:
        surveys: One of each checkpoint; one that the file does not know is added.
        baseline: The file.

    Raises:
        OutputError: The file cannot be written.
        UsageError: It is no baseline, two checkpoints have one name, or a glob means nothing.
    """
    distinct([each.report.path for each in surveys])
    before = read_baseline(baseline)
    _refuse_idle(surveys, before)
    after = dict(before)
    for each in surveys:
        name = file_name(each.report.path)
        old = before.get(name, {})
        asked = _asked(each, old)
        stays = {weight: old[weight] for weight in old if weight not in asked}
        after[name] = stays | recorded(each.report)
    return _kept(Path(baseline), before, after, surveys, force=True)


def show(
    baseline: str | PathLike[str] = BASELINE_NAME,
    *,
    names: Sequence[str] = (),
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Baselines:
    """What a baseline has: of some checkpoints, all without names, the weights that globs mean.

    Raises:
        UsageError: It is no baseline, or does not know one of the checkpoints.
    """
    found = read_baseline(baseline)
    for name in names:
        if name not in found:
            message = f"knows no checkpoint {quoted(name)}"
            raise UsageError(message, where=str(baseline), hint=closest(name, found))
    means = _meaning(include, exclude)
    return {
        name: {line: weight for line, weight in found[name].items() if means(line)}
        for name in names or found
    }


def distinct(paths: Sequence[str]) -> None:
    """Refuse two checkpoints that a baseline would call by one name.

    Raises:
        UsageError: There are two; it names both.
    """
    known: dict[str, str] = {}
    for path in paths:
        name = file_name(path)
        if name in known:
            both = f"{known[name]} and {path} are both called {quoted(name)}"
            hint = "keep a baseline for each: --baseline FILE"
            raise UsageError(f"{both}, and a baseline knows them by that name", hint=hint)
        known[name] = path


@dataclass(frozen=True, slots=True)
class _Gone:
    """A weight that only a baseline knows, under one of the keys that it may have had."""

    name: str
    key: str


def _readings(name: str) -> list[_Gone]:
    """A name as every section and key that it can be of: a key may hold slashes as well."""
    parts = name.split("/")
    return [_Gone(name, "/".join(parts[start:])) for start in range(len(parts))]


def _meaning(include: Sequence[str], exclude: Sequence[str]) -> Callable[[str], bool]:
    """A test whether globs mean a name whose section and key nobody knows."""
    included, excluded = matcher(include), matcher(exclude)

    def means(name: str) -> bool:
        readings = _readings(name)
        meant = not include or any(map(included, readings))
        return meant and not any(map(excluded, readings))

    return means


def _asked(survey: Survey, lines: Iterable[str]) -> frozenset[str]:
    """Which lines of a baseline the globs mean, by name."""
    wanted = chosen(survey.include, survey.exclude)
    means = _meaning(survey.include, survey.exclude)
    here = {weight.name: weight for weight in survey.weights}
    return frozenset(
        name for name in lines if (wanted(here[name]) if name in here else means(name))
    )


def _refuse_idle(surveys: Sequence[Survey], before: Baselines) -> None:
    """Refuse a glob of `--include` that means no weight of any checkpoint, nor one that is gone."""
    lines = [name for each in surveys for name in before.get(file_name(each.report.path), {})]
    for pattern in dict.fromkeys(glob for each in surveys for glob in each.include):
        means = matcher([pattern])
        here = (weight for each in surveys for weight in each.weights)
        gone = (reading for name in lines for reading in _readings(name))
        if not (any(map(means, here)) or any(map(means, gone))):
            message = f"{quoted(pattern)} matches no weight"
            hint = "normcli ls shows the names"
            raise UsageError(message, where="--include", hint=hint)


def _kept(
    path: Path,
    before: Baselines,
    after: Baselines,
    surveys: Sequence[Survey],
    *,
    force: bool,
) -> Kept:
    """The file as it is to be, written if it is not so already."""
    check_target(path, inputs=[each.report.path for each in surveys], force=force)
    old, new = _lines(before), _lines(after)
    both = old.keys() & new.keys()
    return Kept(
        path=str(path),
        checkpoints=len(after),
        weights=len(new),
        changed=sum(repr(old[line]) != repr(new[line]) for line in both),  # NaN is not NaN
        new=len(new) - len(both),
        gone=len(old) - len(both),
        written=_published(path, baseline_text(after).encode("ascii"), force=force),
    )


def _lines(baselines: Baselines) -> dict[tuple[str, str], Recorded]:
    return {(name, line): weights[line] for name, weights in baselines.items() for line in weights}


def _published(path: Path, raw: bytes, *, force: bool) -> bool:
    """Whether the file had to be written; a link stays one, and so do its mode and owner."""
    target, like = Path(os.path.realpath(path)), None
    with suppress(OSError):  # none yet, or one that may only be replaced
        if target.read_bytes() == raw:
            return False
        like = target.stat()
    with new_file(target, replace=force, like=like) as new:
        new.file.write(raw)
    return True
