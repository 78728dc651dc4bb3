"""A plan: every step of a rewriting, decided from names, shapes and dtypes alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from normcli.errors import CheckpointError, UsageError
from normcli.formats.spelling import quoted
from normcli.formats.writers.draft import Draft
from normcli.records import Given, Skipped
from normcli.rewrite.plans.choice import is_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from normcli.formats.base import Checkpoint
    from normcli.records import InputFile, Step, TensorRef, Weight
    from normcli.rewrite.options import Options
    from normcli.rewrite.values.settled import Settled


@dataclass(slots=True)
class Planned:
    """What a planner has found so far.

    Attributes:
        steps: In checkpoint order.
        left: Weights that are left as they are, and why.
        done: Name of the weight → its values, where a planner has to compute them.
        notes: About the input.
        batch: What a model was run on, for a plan that needs one.
    """

    steps: list[Step] = field(default_factory=list)
    left: list[Skipped] = field(default_factory=list)
    done: dict[str, Settled] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    batch: InputFile | None = None

    def leave(self, weight: Weight, reason: str, options: Options) -> None:
        """List a weight as left.

        Raises:
            UsageError: It was asked for by its name.
        """
        if is_named(weight, options):
            raise UsageError(f"{quoted(weight.name)} cannot be taken: {reason}", where="--include")
        self.left.append(Skipped(weight.name, reason))


def renamed(old: Mapping[str, TensorRef], new: Mapping[str, TensorRef]) -> tuple[Given, ...]:
    """Every part under its new key at its own place, its bytes as they are."""
    return tuple(Given(ref, old[role].name, kept=old[role].name) for role, ref in new.items())


def check_free(checkpoint: Checkpoint, steps: Sequence[Step]) -> None:
    """Raise where two tensors of the output would have one name.

    Raises:
        CheckpointError: The file holds a tensor already where a step wants to put one.
    """
    taken = {ref.name for step in steps for ref in step.takes}
    given: set[str] = set()
    for step in steps:
        for each in step.gives:
            name = each.ref.name
            if name in given or (name in checkpoint.tensors and name not in taken):
                raise CheckpointError(
                    f"{quoted(step.name)} would be stored as {quoted(name)}, which is there",
                    where=checkpoint.path,
                    hint=f"leave it out with --exclude {quoted(step.name)}",
                )
            given.add(name)


def draft_of(
    steps: Iterable[Step],
    metadata: Mapping[str, Mapping[str, Any]],
    *,
    drop_opaque: bool,
    drop_optimizer: bool,
    max_shard_size: int | None = None,
) -> Draft:
    """What the writer of the format has to know of the steps."""
    places: dict[str, list[Given]] = {}
    for step in steps:
        places.update({ref.name: [] for ref in step.takes})
        for each in step.gives:
            places[each.place].append(each)
    return Draft(
        {name: tuple(given) for name, given in places.items()},
        metadata,
        drop_opaque=drop_opaque,
        drop_optimizer=drop_optimizer,
        max_shard_size=max_shard_size,
    )
