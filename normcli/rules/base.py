"""The contract of a rule: from a measured checkpoint and a demand to findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from normcli.records import Demand, Finding, Measurement, Recorded, Report

# What a rule looks at: every floating tensor, vectors and scalars among them; weights of two axes
# or more; weights under a norm state; or the checkpoint as a whole.
Scope: TypeAlias = Literal["tensors", "weights", "states", "checkpoint"]

REQUIRED = object()  # default of a parameter that has none


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a demand can say to a rule.

    Attributes:
        kind: An annotation that pydantic validates (`Annotated[float, Field(gt=0)]`).
        meaning: One phrase, with the unit.
        default: `REQUIRED` where there is none.
    """

    kind: Any
    meaning: str
    default: Any = REQUIRED


@dataclass(frozen=True, slots=True)
class Case:
    """What a rule looks at.

    Attributes:
        report: The whole checkpoint.
        selected: The measurements in the rule's scope that the demand's globs mean, in order.
        baseline: `SECTION/KEY` → what was recorded of it; None where there is no baseline, empty
            where the baseline does not know this checkpoint.
    """

    report: Report
    selected: tuple[Measurement, ...] = ()
    baseline: Mapping[str, Recorded] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A check.

    Attributes:
        name: As a policy spells it.
        find: Gives the findings; its docstring is what `normcli explain` prints.
        scope: What it looks at.
        needs: Metrics (`METRIC_NAMES`, `GATE_METRICS`) that it reads.
        severity: Of its findings where the policy does not say.
        built_in: Whether it is in the policy that holds where there is none.
        parameters: Name → what a demand can say.
        compares: Whether it compares with a baseline.
        straddling: Names of the weights whose bracket of σ₁ holds the limit: a narrower one could
            tell. None for rules without a limit on σ₁.
    """

    name: str
    find: Callable[[Case, Demand], Iterator[Finding]]
    scope: Scope
    needs: frozenset[str] = frozenset()
    severity: str = "error"
    built_in: bool = False
    parameters: Mapping[str, Parameter] = field(default_factory=lambda: MappingProxyType({}))
    compares: bool = False
    straddling: Callable[[Case, Demand], Iterator[str]] | None = None
