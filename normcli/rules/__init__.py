"""What a policy can demand: one generator of findings a rule, in the file of its theme; `RULES`.

To add a rule: a generator whose docstring says what it demands, then `Why:` and `Fix:`, a line
here, and its cases in `tests/rules`.
"""

from __future__ import annotations

import inspect
from types import MappingProxyType
from typing import TYPE_CHECKING

from normcli.records import STALE
from normcli.rules import comparing, header, limits, states, values
from normcli.rules.base import Parameter, Rule
from normcli.rules.kinds import ABOVE_ONE, CASTS, DTYPES, FROM_ZERO, LAYOUT, POSITIVE, SHAPE

if TYPE_CHECKING:
    from collections.abc import Mapping

_SIGMA = frozenset({"spectral_norm"})
_NORMS = frozenset({"frobenius", "spectral_norm", "stable_rank"})
# A state is read where anything is asked of its weight; this takes the least.
_STATE = frozenset({"nan"})


def explained(name: str) -> str:
    """What a rule demands, why, and what can be done: the docstring of its generator.

    Raises:
        KeyError: No rule has that name.
    """
    return inspect.getdoc(RULES[name].find) or ""


def _limit(meaning: str, kind: object = POSITIVE) -> Mapping[str, Parameter]:
    return MappingProxyType({"limit": Parameter(kind, meaning)})


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "finite": Rule(
            "finite", values.finite, "tensors", needs=frozenset({"nan", "inf"}), built_in=True
        ),
        "nonzero": Rule(
            "nonzero",
            values.nonzero,
            "weights",
            needs=frozenset({"frobenius", "constant"}),
            severity="warning",
            built_in=True,
        ),
        "zero-rows": Rule(
            "zero-rows",
            values.zero_rows,
            "weights",
            needs=frozenset({"zero_rows"}),
            severity="warning",
        ),
        "spectral-limit": Rule(
            "spectral-limit",
            limits.spectral_limit,
            "weights",
            needs=_SIGMA,
            parameters=_limit("largest σ₁", FROM_ZERO),
            straddling=limits.above_limit,
        ),
        "spectral-floor": Rule(
            "spectral-floor",
            limits.spectral_floor,
            "weights",
            needs=_SIGMA,
            parameters=_limit("smallest σ₁"),
            straddling=limits.below_floor,
        ),
        "frobenius-limit": Rule(
            "frobenius-limit",
            limits.frobenius_limit,
            "weights",
            needs=frozenset({"frobenius"}),
            parameters=_limit("largest ‖W‖_F", FROM_ZERO),
        ),
        "stable-rank-floor": Rule(
            "stable-rank-floor",
            limits.stable_rank_floor,
            "weights",
            needs=frozenset({"frobenius", "spectral_norm"}),
            parameters=_limit("smallest ‖W‖_F²/σ₁²"),
            straddling=limits.below_stable_rank,
        ),
        "lipschitz-limit": Rule(
            "lipschitz-limit",
            limits.lipschitz_limit,
            "weights",
            needs=_SIGMA,
            parameters=_limit("largest product of σ₁ over all weights meant"),
            straddling=limits.above_product,
        ),
        "stale-state": Rule(
            "stale-state",
            states.stale_state,
            "states",
            needs=frozenset({"state"}),
            severity="warning",
            built_in=True,
            parameters=MappingProxyType(
                {"tolerance": Parameter(FROM_ZERO, "largest |1 − σ/σ₁|", STALE)}
            ),
        ),
        "unit-vectors": Rule(
            "unit-vectors",
            states.unit_vectors,
            "states",
            needs=_STATE,
            built_in=True,
            parameters=MappingProxyType(
                {
                    "tolerance": Parameter(
                        FROM_ZERO | None,
                        "largest |‖u‖ − 1|; default 0.001, 0.02 in half precision",
                        None,
                    )
                }
            ),
        ),
        "degenerate-state": Rule(
            "degenerate-state", states.degenerate_state, "states", needs=_STATE, built_in=True
        ),
        "orphan-state": Rule("orphan-state", states.orphan_state, "tensors", built_in=True),
        "layout": Rule(
            "layout",
            header.layout,
            "weights",
            parameters=MappingProxyType({"layout": Parameter(LAYOUT, "how norms are stored")}),
        ),
        "dtype": Rule(
            "dtype",
            header.dtype,
            "tensors",
            parameters=MappingProxyType({"dtype": Parameter(DTYPES, "one dtype, or a list")}),
        ),
        "shape": Rule(
            "shape",
            header.shape,
            "tensors",
            parameters=MappingProxyType({"shape": Parameter(SHAPE, "sizes; -1 is any")}),
        ),
        "required": Rule("required", header.required, "checkpoint"),
        "cast-overflow": Rule(
            "cast-overflow",
            values.cast_overflow,
            "tensors",
            needs=frozenset({"nan", "inf", "overflow"}),
            parameters=MappingProxyType({"dtype": Parameter(CASTS, "one dtype, or a list")}),
        ),
        "outlier": Rule(
            "outlier",
            values.outlier,
            "weights",
            needs=_SIGMA,
            severity="warning",
            parameters=MappingProxyType(
                {"limit": Parameter(POSITIVE, "largest robust z of log σ₁", 6.0)}
            ),
        ),
        "foreign-objects": Rule(
            "foreign-objects", header.foreign_objects, "checkpoint", built_in=True
        ),
        "growth": Rule(
            "growth",
            comparing.growth,
            "weights",
            needs=frozenset({"frobenius", "spectral_norm"}),
            compares=True,
            parameters=MappingProxyType(
                {"factor": Parameter(ABOVE_ONE, "largest σ₁ or ‖W‖_F over the recorded one")}
            ),
        ),
        "drift": Rule(
            "drift",
            comparing.drift,
            "weights",
            needs=_NORMS,
            compares=True,
            parameters=MappingProxyType(
                {"tolerance": Parameter(FROM_ZERO, "largest relative difference", 1e-3)}
            ),
        ),
        "coverage": Rule(
            "coverage", header.coverage, "checkpoint", severity="warning", built_in=True
        ),
    }
)
