"""What a rule of the gate is, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ExplainedParameter:
    """What a demand can say to a rule.

    Attributes:
        name: As a policy spells it.
        meaning: One phrase, with the unit.
        required: Whether it has no default.
        default: What holds where a demand does not say it; None also where that depends.
    """

    name: str
    meaning: str
    required: bool
    default: Any = None

    def to_dict(self) -> dict[str, Any]:
        """As in JSON: a default that does not exist is absent."""
        default = {} if self.default is None else {"default": self.default}
        said = {"name": self.name, "meaning": self.meaning, "required": self.required}
        return {**said, **default}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A rule.

    Attributes:
        name: As a policy spells it.
        severity: Of its findings where the policy does not say.
        built_in: Whether it is demanded where there is no policy.
        scope: What it looks at: `tensors`, `weights`, `states` or `checkpoint`.
        compares: Whether it compares with a baseline.
        metrics: That it reads; none where the header tells.
        summary: What it finds.
        why: Why that matters; paragraphs are separated by an empty line.
        fix: What can be done about it.
        parameters: In the order of the rule.
        example: A policy that demands it, as TOML.
    """

    name: str
    severity: str
    built_in: bool
    scope: str
    compares: bool
    metrics: tuple[str, ...]
    summary: str
    why: str
    fix: str
    parameters: tuple[ExplainedParameter, ...]
    example: str

    def to_dict(self) -> dict[str, Any]:
        """As in JSON."""
        return {
            "name": self.name,
            "severity": self.severity,
            "built_in": self.built_in,
            "scope": self.scope,
            "compares": self.compares,
            "metrics": list(self.metrics),
            "summary": self.summary,
            "why": self.why,
            "fix": self.fix,
            "parameters": [each.to_dict() for each in self.parameters],
            "example": self.example,
        }
