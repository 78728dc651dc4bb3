"""`check`: checkpoints held to a policy."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from normcli.commands.choice import FLAT
from normcli.commands.demanded import Demanded
from normcli.commands.pin import expect
from normcli.errors import CheckpointError, UsageError, closest
from normcli.formats import open_checkpoint
from normcli.formats.folder import shards_of_one
from normcli.gate.baseline import file_name, read_baseline
from normcli.gate.judging import judge, lacking, seen, unlisted
from normcli.gate.policy import built_in, with_drift
from normcli.gate.reading import read_reports
from normcli.records import FAIL_ON, Checked, Unread, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike

    from normcli.commands.demanded import Observe
    from normcli.formats.base import Checkpoint
    from normcli.records import Axis, Policy, Recorded, Report

    Baselines = Mapping[str, Mapping[str, Recorded]]


def check(
    paths: Sequence[str | PathLike[str]],
    *,
    policy: Policy | None = None,
    baseline: str | PathLike[str] | None = None,
    fail_on: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    dims: Mapping[str, Axis] | None = None,
    seed: int = 0,
    certificate: str = "probabilistic",
    failure_probability: float = 1e-10,
    jobs: int | None = None,
    memory: int | None = None,
    device: str = "cpu",
    budget_scale: float = 1.0,
    sha256: bool = False,
    expect_sha256: str | None = None,
    observe: Callable[[str], Observe] | None = None,
    today: date | None = None,
) -> Verdict:
    """Hold checkpoints to a policy; nothing in them is run.

    Only what the demands need is computed. A path that cannot be read is in the verdict, which
    then fails.

    Args:
        paths: As in `normcli.inspect`, each a checkpoint.
        policy: From `normcli.gate.policy.load_policy`; the built-in one without.
        baseline: File that `normcli baseline write` wrote; drift from it is a finding even where
            the policy says nothing of it.
        fail_on: One of `normcli.records.FAIL_ON`, in place of what the policy says.
        include: Globs of weights; what is left out no demand can look at.
        exclude: Globs of weights to leave out.
        dims: Glob → row axis, where the file does not tell.
        seed: Of every random start.
        certificate: How the upper end of a bracket of σ₁ is vouched for.
        failure_probability: That a probabilistic bracket does not hold, for each weight.
        jobs: Weights measured at the same time.
        memory: Bytes of weights in flight.
        device: Where spectral norms are computed.
        budget_scale: Factor on the limits of `normcli.formats.budgets`.
        sha256: Whether the reports carry the hash of every byte.
        expect_sha256: Hex digest that the file must have; for one path.
        observe: Given a path, gives what is called with each measurement.
        today: Day that ignores are held against; the machine's without.

    Raises:
        UsageError: An option cannot be meant, or the baseline cannot be read.
    """
    if not paths:
        raise UsageError("no checkpoint to check", hint="a gate never passes what it did not read")
    held = _Held.to(policy, baseline, fail_on, today)
    how = Demanded(
        held.policy,
        include=include,
        exclude=exclude,
        dims=dims,
        seed=seed,
        certificate=certificate,
        failure_probability=failure_probability,
        jobs=jobs,
        memory=memory,
        device=device,
        sha256=sha256,
    )
    opened = _Opened(budget_scale, expect_sha256)
    found = [
        _checked(path, held, how, opened, observe(path) if observe else None)
        for path in map(str, paths)
    ]
    return Verdict(
        held.policy,
        tuple(each for each in found if isinstance(each, Checked)),
        tuple(each for each in found if isinstance(each, Unread)),
    )


class _Opened:
    """How checkpoints are opened, and which were so far: each is checked once.

    A hook names every shard of a checkpoint, and each of them opens all; to open n shards n times
    would read n² headers.

    Attributes:
        scale: As `budget_scale` of `check`.
        sha256: As `expect_sha256` of `check`.
    """

    def __init__(self, scale: float, sha256: str | None) -> None:
        self.scale, self.sha256 = scale, sha256
        self._seen: set[tuple[str, ...]] = set()
        self._shards: set[tuple[str, str]] = set()

    def has_checked(self, path: str) -> bool:
        """Whether it is a shard of a checkpoint that was opened; it need not be opened to tell."""
        if not self._shards or "\0" in path:
            return False
        folder, name = os.path.split(path)
        return (os.path.realpath(folder), name) in self._shards

    def is_new(self, checkpoint: Checkpoint) -> bool:
        """Whether no shard before this one has named the same checkpoint."""
        if len(checkpoint.files) == 1:
            return True
        path = Path(checkpoint.path)
        folder = path if path.is_dir() else path.parent
        place, names = str(folder.resolve()), [file.name for file in checkpoint.files]
        if (place, *names) in self._seen:
            return False
        self._seen.add((place, *names))
        self._shards |= {(place, name) for name in shards_of_one(folder, names)}
        return True


def _checked(
    path: str, held: _Held, how: Demanded, opened: _Opened, observe: Observe | None
) -> Checked | Unread | None:
    """What is found in one checkpoint, or that it cannot be read; None where it was checked."""
    try:
        if opened.has_checked(path):
            return None
        with open_checkpoint(path, allow_opaque=True, budget_scale=opened.scale) as checkpoint:
            if opened.sha256 is not None:
                expect(checkpoint, opened.sha256)
            if not opened.is_new(checkpoint):
                return None
            recorded = held.recorded(path)
            report = how.report(checkpoint, recorded, observe)
        return held.judged(report, recorded)
    except CheckpointError as error:
        return Unread(path, error.message, error.hint)
    except OSError as error:
        return Unread(path, error.strerror or str(error))


def check_report(
    path: str | PathLike[str],
    *,
    policy: Policy | None = None,
    baseline: str | PathLike[str] | None = None,
    fail_on: str | None = None,
    today: date | None = None,
) -> Verdict:
    """Hold what a JSON report tells to a policy: no checkpoint is opened, no torch imported.

    Args:
        path: That `normcli inspect --format json` or `normcli check --format json` wrote.
        policy: As in `check`.
        baseline: As in `check`.
        fail_on: As in `check`.
        today: As in `check`.

    Raises:
        CheckpointError: It is no such report, or lacks a number that a demand needs.
        UsageError: As in `check`.
    """
    held = _Held.to(policy, baseline, fail_on, today)
    checked = []
    for report in read_reports(path):
        recorded = held.recorded(report.path)
        missing = lacking(report, held.policy, has_baseline=recorded is not None)
        if missing:
            hint = "normcli check PATH --format json with the same policy writes one that has it"
            raise CheckpointError(missing, where=str(path), hint=hint)
        checked.append(unlisted(held.judged(report, recorded), held.policy, FLAT))
    return Verdict(held.policy, tuple(checked))


class _Held:
    """What checkpoints are held to.

    Attributes:
        policy: With what the options say.
        baselines: File name → what was recorded of it; None without a baseline.
        today: Day that ignores are held against.
    """

    def __init__(self, policy: Policy, baselines: Baselines | None, today: date) -> None:
        self.policy, self.baselines, self.today = policy, baselines, today

    @classmethod
    def to(
        cls,
        policy: Policy | None,
        baseline: str | PathLike[str] | None,
        fail_on: str | None,
        today: date | None,
    ) -> _Held:
        """From the options of `check`."""
        policy = built_in() if policy is None else policy
        day = today or date.today()  # noqa: DTZ011 - the day of who reads the policy
        if fail_on is not None:
            if fail_on not in FAIL_ON:
                hint = closest(fail_on, FAIL_ON)
                raise UsageError(f"{fail_on!r} is no severity", where="--fail-on", hint=hint)
            policy = replace(policy, fail_on=fail_on)
        if baseline is None:
            return cls(policy, None, day)
        return cls(with_drift(policy), read_baseline(baseline), day)

    def judged(self, report: Report, recorded: Mapping[str, Recorded] | None) -> Checked:
        """What is found in a checkpoint."""
        found = judge(report, self.policy, baseline=recorded, today=self.today)
        return seen(found, self.policy)

    def recorded(self, path: str) -> Mapping[str, Recorded] | None:
        """What the baseline has of a checkpoint: empty where it does not know it."""
        if self.baselines is None:
            return None
        return self.baselines.get(file_name(path), {})
