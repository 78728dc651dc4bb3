"""Whether an optimizer's state still fits after the weights beside it were rewritten.

It is kept by index of the parameter, in the order in which the modules list them; torch checks
neither shapes nor names when it loads one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from normcli.errors import RefusedError
from normcli.formats.optimizers import OPTIMIZER
from normcli.formats.spelling import quoted
from normcli.reparam.spelling import TARGETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normcli.formats.base import Checkpoint
    from normcli.records import Step

_CHAIN = "parametrizations."
_PARAMETRIZED = re.compile(r"(?<![^.])parametrizations\.")


def check_optimizer(checkpoint: Checkpoint, steps: Sequence[Step], *, dropped: bool) -> None:
    """Refuse to keep an optimizer state whose indices would mean other parameters.

    Raises:
        RefusedError: There is one, and a step changes number or order of the parameters.
    """
    states = [each.name for each in checkpoint.skipped if each.reason == OPTIMIZER]
    if dropped or not states:
        return
    parents = _parents(checkpoint)
    unfit = next((step for step in steps if not _keeps_order(step, parents)), None)
    if unfit is not None:
        raise RefusedError(
            f"holds an optimizer state ({quoted(states[0])}), whose indices would no longer fit "
            f"when {quoted(unfit.name)} becomes {unfit.after}",
            where=checkpoint.path,
            hint="--drop-optimizer leaves it out",
        )


def _keeps_order(step: Step, parents: set[tuple[str, str]]) -> bool:
    """Whether number and order of the parameters stay as they are."""
    if step.before == step.after:
        return True
    respelled = step.before.family == step.after.family
    known = {step.before.layout, step.after.layout} <= set(TARGETS)
    # The parameters of a child module come in between.
    leaf = (step.weight.section, step.weight.key.rpartition(".")[0]) not in parents
    return respelled and known and leaf


def _parents(checkpoint: Checkpoint) -> set[tuple[str, str]]:
    """(section, module path) of every module that has child modules, parametrizations apart."""
    parents: set[tuple[str, str]] = set()
    for ref in checkpoint.tensors.values():
        module = _PARAMETRIZED.split(ref.key)[0] if _CHAIN in ref.key else ref.key
        above = module.rpartition(".")[0]
        while above:
            above = above.rpartition(".")[0]
            if (ref.section, above) in parents:
                break
            parents.add((ref.section, above))
    return parents
