"""What a gate says, in the words that every format shares: the verdict, counts, what was left."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from normcli.records import SEVERITIES, Skipped
from normcli.render import numbers
from normcli.render.document import reasons
from normcli.render.escape import escaped
from normcli.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from normcli.records import Checked, Demand, Finding, Policy, Unread, Verdict

UNREADABLE = "unreadable"  # stands for the rule where a checkpoint could not be read
_REASONS = 6  # distinct reasons that a summary spells out


@dataclass(frozen=True, slots=True)
class GateDocument:
    """Everything that a format needs.

    Attributes:
        verdict: What the gate says.
        version: Of normcli.
        seconds: How long it took; None where that is not to be shown.
        root: Folder that other tools are told paths from, the root of the repository; empty for
            the working directory.
    """

    verdict: Verdict
    version: str
    seconds: float | None = None
    root: str = ""

    def place(self, path: str) -> str:
        """A path as seen from the root, without a leading `./`; absolute if it is not below."""
        root = os.path.abspath(self.root)  # noqa: PTH100 - links stay, `..` goes
        whole = os.path.abspath(path)  # noqa: PTH100 - likewise
        below = PurePath(os.path.relpath(whole, root))
        return whole if below.parts[:1] == (os.pardir,) else str(below)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Errors before warnings; else as they came."""
    return sorted(findings, key=lambda each: SEVERITIES.index(each.severity))


def ranked(verdict: Verdict, *, ignored: bool = False) -> list[tuple[Checked, Finding]]:
    """Every finding with its checkpoint: errors before warnings, else in order.

    Args:
        verdict: Of the gate.
        ignored: Whether those that do not count are there as well.
    """
    pairs = [
        (checked, each)
        for checked in verdict.checked
        for each in (checked.findings if ignored else checked.counted)
    ]
    return sorted(pairs, key=lambda pair: SEVERITIES.index(pair[1].severity))


def severe(policy: Policy) -> tuple[str, ...]:
    """Severities that fail the gate."""
    if policy.fail_on == "never":
        return ()
    return SEVERITIES[: SEVERITIES.index(policy.fail_on) + 1]


def outcome(verdict: Verdict) -> str:
    """`passed` or `failed`."""
    return "passed" if verdict.passed else "failed"


def found(verdict: Verdict) -> str:
    """`2 errors, 1 warning in 1 of 3 checkpoints`, after what could not be read."""
    parts = []
    if verdict.unread:
        parts.append(f"{numbers.counted(len(verdict.unread), 'checkpoint')} could not be read")
    parts += [_counts(verdict)] if verdict.checked or not verdict.unread else []
    return " · ".join(parts)


def looked_at(verdict: Verdict) -> list[str]:
    """How many tensors were checked, and what does not count or was left out, and why."""
    tensors = sum(each.looked_at for each in verdict.checked)
    parts = [f"{numbers.counted(tensors, 'tensor')} checked"]
    ignored = sum(len(each.findings) - len(each.counted) for each in verdict.checked)
    parts += [f"{numbers.count(ignored)} ignored"] if ignored else []
    skipped = tuple(one for each in verdict.checked for one in each.report.skipped)
    return parts + ([_skipped(skipped)] if skipped else [])


def summary(document: GateDocument) -> list[str]:
    """What there is to say of the whole run, without the outcome; the time last."""
    parts = [found(document.verdict), *looked_at(document.verdict)]
    time = [] if document.seconds is None else [numbers.seconds(document.seconds)]
    return [*parts, *time]


def held_to(policy: Policy) -> str:
    """Which policy, and what fails it: `policy: normcli.toml · fails on errors`."""
    which = f"policy: {escaped(policy.path)}" if policy.path else "built-in policy"
    fails = {
        "error": "fails on errors",
        "warning": "fails on errors and warnings",
        "never": "findings never fail it",
    }
    return f"{which} · {fails[policy.fail_on]}"


def idle(checked: Checked, policy: Policy) -> list[str]:
    """Rules whose demands looked at no weight, each once, with their globs where they have any."""
    pairs = zip(policy.demands, checked.covered, strict=False)
    names = (demand_name(demand) for demand, count in pairs if not count and of_weights(demand))
    return list(dict.fromkeys(names))


def of_weights(demand: Demand) -> bool:
    """Whether its rule looks at weights; if not, at the checkpoint as a whole."""
    rule = RULES.get(demand.rule)
    return rule is None or rule.scope != "checkpoint"


def demand_name(demand: Demand) -> str:
    """`spectral-limit (D/*, G/*)`."""
    globs = f" ({', '.join(demand.weights)})" if demand.weights else ""
    return escaped(demand.rule + globs)


def told(finding: Finding) -> str:
    """`D/conv.weight: message`, escaped; of the checkpoint as a whole the message alone."""
    return escaped(f"{finding.weight}: {finding.message}" if finding.weight else finding.message)


def why_unread(unread: Unread) -> str:
    """`could not be read: message`, escaped."""
    return f"could not be read: {escaped(unread.message)}"


def _counts(verdict: Verdict) -> str:
    total = len(verdict.checked)
    counts = Counter(one.severity for each in verdict.checked for one in each.counted)
    if not total:
        return "no checkpoint was checked"
    if not counts:
        return f"nothing found in {numbers.counted(total, 'checkpoint')}"
    kinds = ", ".join(numbers.counted(counts[name], name) for name in SEVERITIES if counts[name])
    touched = sum(1 for each in verdict.checked if each.counted)
    of = numbers.counted(total, "checkpoint")
    return f"{kinds} in {of if total == 1 else f'{numbers.count(touched)} of {of}'}"


def _skipped(skipped: tuple[Skipped, ...]) -> str:
    counts = list(reasons(skipped).items())
    named = [f"{numbers.count(number)} {escaped(why)}" for why, number in counts[:_REASONS]]
    rest = sum(number for _, number in counts[_REASONS:])
    named += [f"{numbers.count(rest)} for other reasons"] if rest else []
    return f"{numbers.count(len(skipped))} skipped ({', '.join(named)})"
