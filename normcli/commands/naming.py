"""The one weight that a name means, and what is said where it means none or several."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from normcli.errors import UsageError
from normcli.formats.spelling import quoted, several
from normcli.records import MEASURABLE, NormState
from normcli.reparam import weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normcli.formats.base import Checkpoint
    from normcli.records import Weight


def named(checkpoint: Checkpoint, name: str) -> Weight:
    """The weight of that `SECTION/KEY`, else the only one of that KEY, if it has a matrix.

    Raises:
        UsageError: There is none, there are several, or it has fewer than two axes or a dtype that
            no norm is computed of.
    """
    candidates = weights(checkpoint.tensors, checkpoint.metadata)
    found = [each for each in candidates if each.name == name]
    found = found or [each for each in candidates if each.key == name]
    if not found:
        raise _missing(checkpoint, candidates, name)
    if len(found) > 1:
        places = several(quoted(each.name) for each in found)
        raise UsageError(
            f"{quoted(name)} stands in {len(found)} sections: {places}",
            where=checkpoint.path,
            hint=f"name one of them with its section, {quoted(found[0].name)}",
        )
    _check_matrix(found[0], checkpoint.path)
    return found[0]


def _check_matrix(weight: Weight, path: str) -> None:
    if len(weight.shape) < 2:
        found = f"{quoted(weight.name)} has shape {weight.shape}"
        hint = "the norm of a vector is its only singular value: normcli inspect --all shows it"
        raise UsageError(f"{found}, expected two axes or more", where=path, hint=hint)
    if weight.dtype not in MEASURABLE:
        found = f"{quoted(weight.name)} is {weight.dtype}"
        raise UsageError(f"{found}, norms are of floating-point weights", where=path)


def _missing(checkpoint: Checkpoint, candidates: Sequence[Weight], name: str) -> UsageError:
    reason = next((each.reason for each in checkpoint.skipped if each.name == name), "")
    if reason:
        return UsageError(f"{quoted(name)} is not read: {reason}", where=checkpoint.path)
    hint = _hint(candidates, name)
    return UsageError(f"holds no weight {quoted(name)}", where=checkpoint.path, hint=hint)


def _hint(candidates: Sequence[Weight], name: str) -> str:
    """What was probably meant: the weight that a part belongs to, or one with a name like it."""
    for weight in candidates:
        if name in _parts(weight):
            return f"it is a part of {quoted(weight.name)}"
    matrices = [each for each in candidates if len(each.shape) > 1]
    meant = {text: each.name for each in reversed(matrices) for text in (each.key, each.name)}
    near = get_close_matches(name, meant, 1)
    if near:
        return f"did you mean {quoted(meant[near[0]])}?"
    return f"known: {several(each.name for each in matrices)}" if matrices else ""


def _parts(weight: Weight) -> set[str]:
    """Names and keys of the tensors that a norm state is stored as."""
    if not isinstance(weight, NormState):
        return set()
    parts = [part for norm in (weight, *weight.stack) for part in norm.parts.values()]
    return {text for part in parts for text in (part.name, part.key)}
