"""What a gate demands of checkpoints, and what it has found."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from normcli.records.measurement import plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from normcli.records.report import Report

SEVERITIES = ("error", "warning")  # of a finding, worst first
FAIL_ON = (*SEVERITIES, "never")


@dataclass(frozen=True, slots=True)
class Demand:
    """One line of a policy: a rule, for some weights.

    Attributes:
        rule: Key of `normcli.rules.RULES`.
        severity: Of its findings, one of `SEVERITIES`.
        parameters: Of the rule, by name, checked and complete.
        weights: Globs on `SECTION/KEY` or KEY; all weights without one. One that matches nothing
            is a finding.
        optional: Whether its globs may match nothing.
        place: Where it stands, `normcli.toml, line 14`; empty in the built-in policy.
    """

    rule: str
    severity: str = "error"
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    weights: tuple[str, ...] = ()
    optional: bool = False
    place: str = ""


@dataclass(frozen=True, slots=True)
class Ignore:
    """Findings that do not count.

    Attributes:
        rule: Of the findings.
        weights: Globs of the weights they are about; all without one.
        reason: Why.
        until: Last day on which they do not count; None is for good.
        place: Where it stands in the policy.
    """

    rule: str
    reason: str
    weights: tuple[str, ...] = ()
    until: date | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is demanded.

    Attributes:
        demands: In the order of the file.
        ignores: Likewise.
        fail_on: Least severity of a finding that fails the gate, one of `FAIL_ON`.
        path: Of the file; empty for the built-in policy.
    """

    demands: tuple[Demand, ...]
    ignores: tuple[Ignore, ...] = ()
    fail_on: str = "error"
    path: str = ""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Why a finding does not count: the reason of the policy, and until when (`2027-06-30`)."""

    reason: str
    until: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was demanded.

    Attributes:
        rule: That is broken.
        severity: One of `SEVERITIES`.
        weight: `SECTION/KEY`; empty for the checkpoint as a whole.
        message: One sentence: what was found, what was demanded.
        fix: What can be done about it, often a command; may be empty.
        value: What was measured, where it is a number.
        lower: Lower end of its bracket, where it has one.
        upper: Upper end.
        limit: What it was compared with, where that is a number.
        demand: Index in the policy of the demand that is broken; -1 for the policy's own findings.
        ignored: Why it does not count; None where it does.
    """

    rule: str
    severity: str
    weight: str
    message: str
    fix: str = ""
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    limit: float | None = None
    demand: int = -1
    ignored: Ignored | None = None

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON report: what does not exist is absent."""
        record: dict[str, Any] = {
            "rule": self.rule,
            "severity": self.severity,
            "weight": self.weight,
            "message": self.message,
        }
        for name in ("value", "lower", "upper", "limit"):
            number = plain(getattr(self, name))
            if number is not None:
                record[name] = number
        if self.fix:
            record["fix"] = self.fix
        if self.ignored is not None:
            until = {"until": self.ignored.until} if self.ignored.until else {}
            record["ignored"] = {"reason": self.ignored.reason, **until}
        return record


@dataclass(frozen=True, slots=True)
class Checked:
    """One checkpoint that was read, and what was found in it.

    Attributes:
        report: Its weights, with the numbers that the demands need.
        findings: In the order of the demands; those of the policy itself last.
        covered: Of each demand of the policy: how many weights it looked at (0 for one that looks
            at the checkpoint as a whole).
        looked_at: How many tensors some demand looked at.
    """

    report: Report
    findings: tuple[Finding, ...] = ()
    covered: tuple[int, ...] = ()
    looked_at: int = 0

    @property
    def counted(self) -> tuple[Finding, ...]:
        """The findings that are not ignored."""
        return tuple(each for each in self.findings if each.ignored is None)

    def to_dict(self) -> dict[str, Any]:
        """The checkpoint as in the JSON report, with its findings."""
        return {**self.report.to_dict(), "findings": [each.to_dict() for each in self.findings]}


@dataclass(frozen=True, slots=True)
class Unread:
    """A path that could not be read: it never passes.

    Attributes:
        path: As the user gave it.
        message: Why, without the path.
        hint: What to do; may be empty.
    """

    path: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate says of some checkpoints.

    Attributes:
        policy: That they were held to.
        checked: Those that were read, in the order asked for.
        unread: Those that were not.
    """

    policy: Policy
    checked: tuple[Checked, ...] = ()
    unread: tuple[Unread, ...] = ()

    @property
    def failing(self) -> tuple[Finding, ...]:
        """The findings that fail the gate."""
        if self.policy.fail_on == "never":
            return ()
        severe = SEVERITIES[: SEVERITIES.index(self.policy.fail_on) + 1]
        counted = (finding for each in self.checked for finding in each.counted)
        return tuple(finding for finding in counted if finding.severity in severe)

    @property
    def passed(self) -> bool:
        """Whether everything was read and nothing fails; a gate that saw nothing does not pass."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """2 where something, or everything, was not read; 1 where the gate found something."""
        if self.unread or not self.checked:
            return 2
        return 1 if self.failing else 0
