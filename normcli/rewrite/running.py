"""From a plan to values, and from values to tensors in the order in which a writer asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli import linalg
from normcli.errors import NormcliError, UsageError
from normcli.formats.spelling import quoted, several
from normcli.records import Skipped
from normcli.rewrite.plans.choice import is_named
from normcli.rewrite.values import VALUES
from normcli.rewrite.values.settled import Open, Settled
from normcli.stream import ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from torch import Tensor

    from normcli.formats.base import Checkpoint
    from normcli.records import Step
    from normcli.rewrite.options import Options
    from normcli.rewrite.values.settled import Left, Outcome

_FLOOR = 256 << 20  # bytes in flight that are never too many


def settled(
    checkpoint: Checkpoint,
    steps: Sequence[Step],
    options: Options,
    *,
    jobs: int,
    budget: int | None,
    observe: Callable[[Step], None],
) -> tuple[dict[str, Settled], list[Skipped]]:
    """(name of the weight → its values, weights that their values leave as they are).

    Args:
        checkpoint: Opened.
        steps: Of its plan.
        options: What was asked for.
        jobs: Weights looked at at the same time.
        budget: Bytes in flight; about four times the largest tensor without.
        observe: Called with each step that is done, in order.

    Raises:
        UsageError: A weight that was named cannot be taken, or its row axis is open.
    """
    done: dict[str, Settled] = {}
    left: list[Skipped] = []

    open_ones: list[Step] = []

    def work(step: Step) -> Outcome:
        linalg.limit_this_thread()
        return VALUES[step.verb](step, checkpoint.read, options)

    with linalg.one_torch_thread():
        results = ordered_map(
            work,
            steps,
            workers=max(1, min(jobs, len(steps))),
            cost=_cost,
            budget=budget or default_budget(checkpoint),
            short=lambda step: step.weight.parameters <= 10_000,
        )
        for step, result in zip(steps, results, strict=True):
            observe(step)
            if isinstance(result, Settled):
                done[step.name] = result
            elif isinstance(result, Open):
                open_ones.append(step)
            elif is_named(step.weight, options) and not result.wanted:
                raise _unfit(checkpoint, step, result)
            else:
                left.append(Skipped(step.name, result.reason))
    if open_ones:
        raise _ambiguous(checkpoint, open_ones)
    return done, left


def _ambiguous(checkpoint: Checkpoint, steps: Sequence[Step]) -> UsageError:
    names = several(quoted(step.name) for step in steps)
    first = quoted(f"{steps[0].name}=0")
    return UsageError(
        f"neither shapes nor values tell which axis is the rows of {names}",
        where=checkpoint.path,
        hint=f"say it: --dim {first}, or 1 for a transposed convolution",
    )


def _unfit(checkpoint: Checkpoint, step: Step, left: Left) -> NormcliError:
    message = f"{quoted(step.name)}: {left.reason}"
    hint = "where it is not named by --include it is left as it is"
    return UsageError(message, where=checkpoint.path, hint=hint)


def default_budget(checkpoint: Checkpoint) -> int:
    """Bytes in flight: four times the largest tensor, and what costs nothing worth counting."""
    largest = max((ref.nbytes for ref in checkpoint.tensors.values()), default=0)
    return max(_FLOOR, 4 * largest)


def _cost(step: Step) -> int:
    """Bytes while a step is settled: its parts, the weight made of them, and what σ₁ takes."""
    rows = step.axis if isinstance(step.axis, int) else 0
    parts = sum(ref.nbytes for ref in step.takes)
    exact = linalg.spectral_norm_memory(*linalg.matrix_shape(step.shape, rows), "probabilistic")
    return 2 * parts + (exact if step.verb in ("apply", "refresh") else parts)


def tensors_in_order(
    done: Mapping[str, Settled],
    order: Iterable[str],
    steps: Iterable[Step],
    *,
    jobs: int,
    budget: int,
) -> Iterator[Tensor]:
    """Each made tensor of `order`; large ones are computed ahead of the writer."""
    sources: dict[str, Callable[[], Tensor]] = {}
    costs: dict[str, int] = {}
    for step in steps:
        values = done[step.name]
        for given in step.gives:
            name = given.ref.name
            if name in values.later:
                sources[name] = values.later[name]
                costs[name] = _cost(step)
            elif name in values.made:
                sources[name] = _constant(values.made[name])

    def compute(name: str) -> Tensor:
        linalg.limit_this_thread()
        return sources[name]()

    return ordered_map(
        compute, order, workers=max(1, jobs), cost=lambda name: costs.get(name, 0), budget=budget
    )


def _constant(tensor: Tensor) -> Callable[[], Tensor]:
    return lambda: tensor
