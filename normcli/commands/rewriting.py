"""What all writers share: open, plan, look at the values, write, and tell what was done."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import closing
from dataclasses import fields
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normcli.commands.inspect import hashed_files
from normcli.commands.pin import expect
from normcli.commands.progress import Watch
from normcli.durable import is_same
from normcli.errors import NormcliError, OutputError, UsageError
from normcli.formats import open_checkpoint
from normcli.formats.spelling import quoted
from normcli.records import InputFile, Rewriting
from normcli.reparam import weights
from normcli.stream import background, default_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from os import PathLike

    from torch import Tensor

    from normcli.commands.request import Request
    from normcli.formats import Blueprint
    from normcli.formats.base import Checkpoint
    from normcli.records import Skipped, Step
    from normcli.rewrite import Options, Planned
    from normcli.rewrite.target import Target
    from normcli.rewrite.values.settled import Settled


def rewritten(
    verb: str,
    path: str | PathLike[str],
    options: Options,
    request: Request,
    *,
    word: str,
    plan: Callable[[Checkpoint], Planned] | None = None,
    batch: str | PathLike[str] | None = None,
) -> Rewriting:
    """The checkpoint rewritten, or what would become of it.

    Args:
        verb: One of `VERBS`.
        path: Of the input: a file, a folder of shards, an index, or one shard.
        options: Of the verb.
        request: Of all writers.
        word: What the name of the output says, where none was given.
        plan: Gives the steps of the opened checkpoint; without it the header alone decides.
        batch: A file that the plan reads, and that the output must not replace.

    Raises:
        CheckpointError: The input cannot be read, or is refused.
        OutputError: The output cannot be written.
        UsageError: An option cannot be meant.
    """
    with open_checkpoint(
        path, allow_opaque=request.drop_opaque, budget_scale=request.budget_scale
    ) as checkpoint:
        try:
            if request.expect_sha256 is not None:
                expect(checkpoint, request.expect_sha256)
            planner = plan or partial(_from_header, verb, options)
            target = _target(checkpoint, request, word, batch)
            run = _Run(verb, checkpoint, options, request, target=target, plan=planner)
            return run.planned() if request.dry_run else run.written()
        except NormcliError as error:
            error.where = error.where or checkpoint.path
            raise


def _target(
    checkpoint: Checkpoint, request: Request, word: str, batch: str | PathLike[str] | None
) -> Target:
    """Where the output goes, once it is known that it may."""
    from normcli.rewrite.target import target_of

    target = target_of(
        checkpoint,
        word,
        output=request.output,
        force=request.force,
        in_place=request.in_place,
        sharded=request.max_shard_size is not None,
    )
    if batch is not None and is_same(target.path, Path(batch)):
        raise OutputError("is the batch itself", where=str(target.path))
    target.check(checkpoint)
    return target


def _from_header(verb: str, options: Options, checkpoint: Checkpoint) -> Planned:
    from normcli.rewrite import PLANS

    return PLANS[verb](weights(checkpoint.tensors, checkpoint.metadata), options)


class _Run:
    """One rewriting of one opened checkpoint."""

    def __init__(
        self,
        verb: str,
        checkpoint: Checkpoint,
        options: Options,
        request: Request,
        *,
        target: Target,
        plan: Callable[[Checkpoint], Planned],
    ) -> None:
        self.verb, self.checkpoint, self.options, self.request = verb, checkpoint, options, request
        self.target = target
        self.plan: Planned = plan(checkpoint)
        if not self.plan.steps and verb != "convert":
            raise _nothing(verb, self.plan.left)

    def planned(self) -> Rewriting:
        """What would be done, from the header alone."""
        blueprint = self._blueprint(self.plan.steps)
        name = self.target.path.name
        files = tuple(InputFile(each.name or name, each.nbytes) for each in blueprint.files)
        steps, done = self.plan.steps, self.plan.done
        return self._told(blueprint, steps, self.plan.left, done=done, files=files)

    def written(self) -> Rewriting:
        """What was done."""
        from normcli.rewrite.writing import Work

        checkpoint, request = self.checkpoint, self.request
        blueprint = self._blueprint(self.plan.steps)  # refuses before anything is computed
        watch = Watch(request.observe, self.plan.steps, blueprint.nbytes, str(self.target.path))
        steps, done, left = self._settled(watch)
        if left:
            blueprint = self._blueprint(steps)
        with (
            background(partial(hashed_files, checkpoint, wanted=request.sha256)) as hashes,
            closing(self._tensors(blueprint, steps, done)) as tensors,
        ):
            work = Work(
                checkpoint,
                blueprint,
                tensors,
                workers=request.jobs or default_workers(),
                hashed=request.sha256,
                watch=watch.wrote,
            )
            files = work.write(self.target)
            inputs = hashes()
        return self._told(
            blueprint, steps, [*self.plan.left, *left], done=done, files=files, inputs=inputs
        )

    def _settled(self, watch: Watch) -> tuple[list[Step], dict[str, Settled], list[Skipped]]:
        """(steps that are done, their values, what the values leave); keys alone need no values."""
        steps = self.plan.steps
        if self.plan.done:
            for step in steps:
                watch.settled(step)
            return steps, self.plan.done, []
        if not self.options.thorough and not any(map(_makes, steps)):
            return steps, {}, []
        from normcli.rewrite.running import settled

        done, left = settled(
            self.checkpoint,
            steps,
            self.options,
            jobs=self.request.jobs or default_workers(),
            budget=self.request.memory,
            observe=watch.settled,
        )
        return [step for step in steps if step.name in done], done, left

    def _tensors(
        self, blueprint: Blueprint, steps: Sequence[Step], done: Mapping[str, Settled]
    ) -> Generator[Tensor]:
        """Made tensors, in the order in which the files ask for them."""
        order = [name for file in blueprint.files for name in file.order]
        if not order:
            return
        from normcli.rewrite.running import default_budget, tensors_in_order

        yield from tensors_in_order(
            done,
            order,
            steps,
            jobs=self.request.jobs or default_workers(),
            budget=self.request.memory or default_budget(self.checkpoint),
        )

    def _blueprint(self, steps: Sequence[Step]) -> Blueprint:
        """The output as these steps make it; refuses what cannot be."""
        from normcli.formats import blueprint
        from normcli.rewrite import check_free, draft_of
        from normcli.rewrite.metadata import rewritten as new_metadata
        from normcli.rewrite.optimizer import check_optimizer

        checkpoint, request = self.checkpoint, self.request
        check_free(checkpoint, steps)
        check_optimizer(checkpoint, steps, dropped=request.drop_optimizer)
        draft = draft_of(
            steps,
            new_metadata(checkpoint.metadata, steps),
            drop_opaque=request.drop_opaque,
            drop_optimizer=request.drop_optimizer,
            max_shard_size=request.max_shard_size,
        )
        found = blueprint(checkpoint, draft, self.target.format)
        self.target.check(checkpoint, found.nbytes)
        return found

    def _told(
        self,
        blueprint: Blueprint,
        steps: Sequence[Step],
        left: Sequence[Skipped],
        *,
        done: Mapping[str, Settled] | None = None,
        files: tuple[InputFile, ...],
        inputs: tuple[InputFile, ...] | None = None,
    ) -> Rewriting:
        return Rewriting(
            verb=self.verb,
            path=self.checkpoint.path,
            format=self.checkpoint.format,
            files=self.checkpoint.files if inputs is None else inputs,
            output=str(self.target.path),
            output_format=blueprint.format,
            output_files=files,
            steps=tuple(steps),
            changes={name: each.change for name, each in (done or {}).items()},
            left=tuple(left),
            dropped=blueprint.dropped,
            notes=(*self.checkpoint.notes, *self.plan.notes, *blueprint.notes),
            options=_given(self.options, self.request),
            versions=_versions(),
            written=not self.request.dry_run,
            batch=self.plan.batch,
        )


def _makes(step: Step) -> bool:
    """Whether it gives a tensor that the input does not have."""
    return not all(given.kept for given in step.gives)


_UNTOLD = frozenset({"output", "thorough", "sha256", "observe", "dry_run"})


def _nothing(verb: str, left: Sequence[Skipped]) -> UsageError:
    """That there is nothing to do: a copy under another name would only look like a result."""
    if not left:
        return UsageError(_NOTHING[verb], hint="normcli ls shows what it holds")
    first = left[0]
    more = f", and {len(left) - 1} more" if len(left) > 1 else ""
    return UsageError(f"nothing to {verb}: {quoted(first.name)}: {first.reason}{more}")


_NOTHING = {
    "apply": "holds no weight that a norm could be put on: floating, two axes or more, `weight`",
    "remove": "holds no norm state, so that there is nothing to remove",
    "refresh": "holds no spectral norm, so that there are no u and v to refresh",
}


def _given(options: Options, request: Request) -> dict[str, Any]:
    """The options that are not as they are by default, by name."""
    given: dict[str, Any] = {}
    for source in (request, options):
        default = type(source)()
        for each in fields(source):
            value = getattr(source, each.name)
            if each.name not in _UNTOLD and value != getattr(default, each.name):
                given[each.name] = _plain(value)
    return given


def _plain(value: object) -> object:
    """An option as JSON can hold it; of other objects what they show of themselves."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, (str, int, float)) else repr(value)


def _versions() -> dict[str, str]:
    from normcli import __version__

    python = platform.python_version()
    return {"normcli": __version__, "torch": version("torch"), "python": python}
