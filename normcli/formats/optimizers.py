"""Optimizer state, recognised by its structure: moments and steps, not weights of a model."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from normcli.formats.pickles.nodes import DictNode

Value: TypeAlias = Any  # plain data or a node

OPTIMIZER = "optimizer state"  # the reason with which one is skipped

_NAME = re.compile(r"(^|_)optim(s|izers?)?(_|$|[0-9])", re.IGNORECASE)

# Keys that optimizers keep their moments under; beside a name that says optimizer they decide.
_MOMENTS = frozenset(
    {
        "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "square_avg", "acc_delta",
        "exp_inf", "sum", "grad_avg", "fp32_flat_groups", "single_partition_of_fp32_groups",
        "base_optimizer_state",
    }
)  # fmt: skip


def is_optimizer(value: Value, key: str) -> bool:
    """Whether a container is the state of one optimizer.

    Args:
        value: Any value of a pickle.
        key: What it stands under; weighs only where the structure is not torch's own.
    """
    if not isinstance(value, DictNode):
        return False
    return _has_torch_structure(value) or (
        _NAME.search(key) is not None and _has_moments(value, levels=3)
    )


def _has_torch_structure(node: DictNode) -> bool:
    """`{"state": {parameter: {...}}, "param_groups": [{"params": [...]}, ...]}`."""
    state, groups = node.items.get("state"), node.items.get("param_groups")
    return (
        isinstance(state, DictNode)
        and isinstance(groups, list)
        and all(isinstance(each, DictNode) for each in state.items.values())
        and all(isinstance(each, DictNode) and "params" in each.items for each in groups)
    )


def _has_moments(node: DictNode, levels: int) -> bool:
    if not _MOMENTS.isdisjoint(node.items):
        return True
    inner = (value for value in node.items.values() if isinstance(value, DictNode))
    return levels > 0 and any(_has_moments(value, levels - 1) for value in inner)
