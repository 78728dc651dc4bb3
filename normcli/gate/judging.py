"""From a measured checkpoint and a policy to findings, and to what has to be measured for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from normcli.formats.spelling import quoted
from normcli.records import MEASURABLE, Checked, Finding, Ignored, Measurement, NormState
from normcli.rules import RULES
from normcli.rules.base import Case
from normcli.rules.naming import by_name
from normcli.selection import chosen, matcher

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from normcli.records import Demand, Ignore, Policy, Recorded, Report, Weight
    from normcli.rules.base import Scope


def needed(
    policy: Policy, weights: Sequence[Weight | Measurement], *, has_baseline: bool
) -> dict[str, frozenset[str]]:
    """Name of a weight → metrics that some demand needs of it; only what is looked at is there.

    Args:
        policy: Its demands say it.
        weights: Of a header, or measured.
        has_baseline: Whether rules that compare with one have something to compare.
    """
    found: dict[str, frozenset[str]] = {}
    for demand in policy.demands:
        rule = RULES[demand.rule]
        needs = rule.needs if has_baseline or not rule.compares else frozenset[str]()
        wanted = chosen(demand.weights, ())
        for weight in weights:
            if in_scope(weight, rule.scope) and wanted(weight):
                found[weight.name] = found.get(weight.name, frozenset()) | needs
    return found


def in_scope(weight: Weight | Measurement, scope: Scope) -> bool:
    """Whether rules of a scope look at a weight."""
    under_norm = (
        weight.state is not None
        if isinstance(weight, Measurement)
        else isinstance(weight, NormState)
    )
    if scope == "states":
        return under_norm
    if weight.dtype not in MEASURABLE:
        return False
    return scope == "tensors" or (scope == "weights" and (len(weight.shape) > 1 or under_norm))


def judge(
    report: Report,
    policy: Policy,
    *,
    baseline: Mapping[str, Recorded] | None,
    today: date,
) -> Checked:
    """What a policy finds in a checkpoint.

    Args:
        report: With the metrics that `needed` says.
        policy: Its demands and what they are to ignore.
        baseline: `SECTION/KEY` → what was recorded; None where there is none, empty where the
            baseline does not know the checkpoint.
        today: Past the `until` of an ignore its findings count again.
    """
    findings: list[Finding] = []
    covered = []
    looked_at: set[str] = set()
    named = {each.name: each for each in report.measurements}
    for index, demand in enumerate(policy.demands):
        case = _case(report, demand, baseline)
        covered.append(len(case.selected))
        looked_at.update(each.name for each in case.selected)
        findings += (replace(each, demand=index) for each in _unmatched(report, demand))
        for finding in RULES[demand.rule].find(case, demand):
            ignored = _ignored(finding, named.get(finding.weight), policy.ignores, today)
            findings.append(replace(finding, demand=index, ignored=ignored))
    findings += _lapsed(policy.ignores, today)
    return Checked(report, tuple(findings), tuple(covered), len(looked_at))


def seen(checked: Checked, policy: Policy) -> Checked:
    """With a finding where a checkpoint holds no tensor, whatever the policy demands."""
    if checked.report.measurements or any(each.rule == "coverage" for each in policy.demands):
        return checked
    message = "holds no tensor that could be looked at"
    empty = Finding("coverage", "error", "", message, fix="see what is in it with normcli ls --all")
    return replace(checked, findings=(*checked.findings, empty))


def unlisted(checked: Checked, policy: Policy, reason: str) -> Checked:
    """With a finding where tensors that a demand looks at were skipped by who wrote the report.

    Args:
        checked: From a report.
        policy: That it was held to.
        reason: With which a report lists tensors that it does not hold.
    """
    count = sum(each.reason == reason for each in checked.report.skipped)
    if not count or not any(RULES[each.rule].scope == "tensors" for each in policy.demands):
        return checked
    message = f"{count} tensors are not in the report, so that no rule could look at them"
    fix = "write it with normcli inspect --all, or with normcli check"
    finding = Finding("coverage", "warning", "", message, fix=fix)
    return replace(checked, findings=(*checked.findings, finding))


def straddling(
    report: Report, policy: Policy, *, baseline: Mapping[str, Recorded] | None
) -> frozenset[str]:
    """Names of the weights whose bracket of σ₁ holds a limit: a narrower one could tell."""
    names: set[str] = set()
    for demand in policy.demands:
        ask = RULES[demand.rule].straddling
        if ask is not None:
            names.update(ask(_case(report, demand, baseline), demand))
    return frozenset(names)


def _case(report: Report, demand: Demand, baseline: Mapping[str, Recorded] | None) -> Case:
    scope, wanted = RULES[demand.rule].scope, chosen(demand.weights, ())
    selected = (each for each in report.measurements if in_scope(each, scope) and wanted(each))
    return Case(report, tuple(selected), baseline)


def _unmatched(report: Report, demand: Demand) -> Iterator[Finding]:
    """A finding for each glob that means no weight the rule could look at: a broken gate."""
    scope = RULES[demand.rule].scope
    if demand.optional or scope == "checkpoint":
        return
    looked_at = [each for each in report.measurements if in_scope(each, scope)]
    for pattern in demand.weights:
        if not any(map(matcher([pattern]), looked_at)):
            what = {"states": "weights under a norm", "tensors": "tensors"}.get(scope, "weights")
            yield Finding(
                demand.rule,
                "error",
                "",
                f"{quoted(pattern)} matches none of {len(looked_at)} {what}, so that nothing was "
                "looked at",
                fix="mend the pattern, or say optional = true; normcli ls shows the names",
            )


def _ignored(
    finding: Finding, about: Measurement | None, ignores: Iterable[Ignore], today: date
) -> Ignored | None:
    """Why a finding does not count; a glob never means the checkpoint as a whole."""
    for ignore in ignores:
        if ignore.rule != finding.rule or (ignore.until is not None and today > ignore.until):
            continue
        if not ignore.weights or _means(ignore.weights, finding.weight, about):
            until = "" if ignore.until is None else ignore.until.isoformat()
            return Ignored(ignore.reason, until)
    return None


def _means(patterns: Sequence[str], name: str, about: Measurement | None) -> bool:
    """Whether globs mean a weight; one that was not measured has no KEY but its name."""
    if about is not None:
        return matcher(patterns)(about)
    return bool(name) and by_name(patterns)(name)


def _lapsed(ignores: Iterable[Ignore], today: date) -> Iterator[Finding]:
    for ignore in ignores:
        if ignore.until is not None and today > ignore.until:
            message = f"its ignore lapsed on {ignore.until.isoformat()}: {ignore.reason}"
            where = f"{ignore.place}: " if ignore.place else ""
            fix = f"{where}take it out, or set a later day"
            yield Finding(ignore.rule, "warning", "", message, fix=fix)


def lacking(report: Report, policy: Policy, *, has_baseline: bool) -> str:
    """Which number of a report from elsewhere a demand needs and does not find; empty for none."""
    needs = needed(policy, report.measurements, has_baseline=has_baseline)
    for each in report.measurements:
        if each.problem or (each.state is not None and each.state.family == "unknown"):
            continue
        for metric in sorted(needs.get(each.name, ())):
            if not _has(each, metric):
                return f"lacks {metric} of {quoted(each.name)}, which the policy needs"
    return ""


def _has(measurement: Measurement, metric: str) -> bool:
    if metric == "state":
        norms = measurement.state.stack or (measurement.state,) if measurement.state else ()
        return all(
            norm.original_spectral_norm is not None for norm in norms if norm.family == "spectral"
        )
    if metric == "stable_rank":
        return measurement.spectral_norm is not None
    return getattr(measurement, metric) is not None
