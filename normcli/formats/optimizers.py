"""Optimizer state, recognised by its structure: moments and steps, not weights of a model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

from normcli.formats.pickles.nodes import DictNode

if TYPE_CHECKING:
    from collections.abc import Callable

Value: TypeAlias = Any  # plain data or a node

OPTIMIZER = "optimizer state"  # the reason with which one is skipped

_LONGEST = 1000  # characters of a name that is looked at
_NAME = re.compile(r"(^|_)optim(s|izers?)?(_|$|[0-9])", re.IGNORECASE)

# Keys that optimizers keep their moments under; beside a name that says optimizer they decide.
_MOMENTS = frozenset(
    {
        "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "square_avg", "acc_delta",
        "exp_inf", "sum", "grad_avg", "fp32_flat_groups", "single_partition_of_fp32_groups",
        "base_optimizer_state",
    }
)  # fmt: skip


def is_optimizer(value: Value, key: str, pay: Callable[[int], None] = lambda _: None) -> bool:
    """Whether a container is the state of one optimizer.

    Args:
        value: Any value of a pickle.
        key: What it stands under; weighs only where the structure is not torch's own.
        pay: Called with every number of values that are gone through.
    """
    if not isinstance(value, DictNode):
        return False
    return _has_torch_structure(value, pay) or (
        len(key) <= _LONGEST
        and _NAME.search(key) is not None
        and _has_moments(value, pay, levels=3)
    )


def _has_torch_structure(node: DictNode, pay: Callable[[int], None]) -> bool:
    """`{"state": {parameter: {...}}, "param_groups": [{"params": [...]}, ...]}`."""
    state, groups = node.items.get("state"), node.items.get("param_groups")
    if not isinstance(state, DictNode) or not isinstance(groups, list):
        return False
    pay(len(state.items) + len(groups))
    return all(isinstance(each, DictNode) for each in state.items.values()) and all(
        isinstance(each, DictNode) and "params" in each.items for each in groups
    )


def _has_moments(node: DictNode, pay: Callable[[int], None], levels: int) -> bool:
    if any(word in node.items for word in _MOMENTS):
        return True
    if levels == 0:
        return False
    pay(len(node.items))
    inner = (value for value in node.items.values() if isinstance(value, DictNode))
    return any(_has_moments(value, pay, levels - 1) for value in inner)
