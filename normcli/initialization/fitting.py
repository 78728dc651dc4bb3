"""What is said where a checkpoint does not fit a model, and what helps."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING

from normcli.errors import CheckpointError
from normcli.formats.spelling import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from normcli.records import Skipped, TensorRef, Weight


def misfit(
    missing: Sequence[str], unexpected: Sequence[str], hint: str, *, prefix: str
) -> CheckpointError:
    """That a model has weights that the checkpoint lacks, or the other way round.

    Args:
        missing: Keys of the model.
        unexpected: Keys of the checkpoint, without the prefix.
        hint: What can be done about it.
        prefix: Of all keys of the checkpoint.
    """
    found = []
    if missing:
        found.append(f"lacks {_first(missing, prefix)} that the model has")
    if unexpected:
        other = "it does" if missing else "the model does"
        found.append(f"holds {_first(unexpected, prefix)} that {other} not have")
    return CheckpointError("; ".join(found), hint=hint)


def _first(keys: Sequence[str], prefix: str) -> str:
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    return f"{quoted(prefix + keys[0])}{more}"


def what_helps(
    held: Collection[str],
    needed: Collection[str],
    skipped: Iterable[Skipped],
    missing: Collection[str],
    *,
    prefix: str,
) -> str:
    """A hint for keys that do not fit.

    Args:
        held: Keys of the checkpoint, without the prefix.
        needed: Keys of the model.
        skipped: What the checkpoint holds and is not read.
        missing: Names (`SECTION/KEY`) of what the checkpoint would have to hold.
        prefix: Of all keys of the checkpoint.
    """
    lead = leading(held, needed)
    if lead:
        option = f"--prefix {shell_word(prefix + lead)}"
        if all(key.startswith(lead) for key in held):
            return f"its keys begin with {quoted(prefix + lead)}: {option}"
        return f"keys of the model are there below {quoted(prefix + lead)}: {option}"
    lead = leading(needed, held)
    if lead:
        alone = f"have --model build its {quoted(lead.removesuffix('.'))} alone"
        return f"keys of the model begin with {quoted(lead)}, those of the file do not: {alone}"
    unread = next((each for each in skipped if each.name in missing), None)
    if unread is not None:
        return f"{quoted(unread.name)} is there but not read: {unread.reason}"
    return "normcli ls shows what it holds"


def leading(keys: Iterable[str], known: Collection[str]) -> str:
    """The path, with its dot, without which most of `keys` are known; empty for none.

    None as well where more of them are known as they are.
    """
    known = frozenset(known)
    counts: Counter[str] = Counter()
    for key in keys:
        starts = [0, *(place + 1 for place, letter in enumerate(key) if letter == ".")]
        counts.update(key[:start] for start in starts if key[start:] in known)
    return max(counts, key=lambda lead: (counts[lead], -len(lead)), default="")


def unlike_shapes(stored: Weight | TensorRef, own: Weight | TensorRef) -> CheckpointError:
    """That a weight, or a part of it, has another shape than in the model."""
    return CheckpointError(
        f"{quoted(stored.key)} has shape {stored.shape}, the model's has {own.shape}",
        hint="build the model as it was when it was saved: --model-args",
    )


def shell_word(text: str) -> str:
    """A name as it is typed after an option."""
    return shlex.quote(quoted(text)[1:-1])
