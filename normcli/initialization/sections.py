"""Which tensors of a checkpoint are those of the model: the state dict that they are in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from normcli.errors import UsageError, closest
from normcli.formats.spelling import quoted, several
from normcli.initialization.fitting import leading, shell_word

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from normcli.records import Weight


@dataclass(frozen=True, slots=True)
class Section:
    """A state dict of a checkpoint, as far as it is the model's.

    Attributes:
        name: Path of the containers around it; empty for a bare state dict.
        prefix: What its keys carry before those of the model.
        weights: Key without the prefix → weight or other tensor, in checkpoint order.
    """

    name: str
    prefix: str
    weights: Mapping[str, Weight]


def section_of(
    listed: Iterable[Weight], needed: Collection[str], *, asked: str | None, prefix: str, where: str
) -> Section:
    """The section that was asked for, or the only one that can be meant.

    That is the only one there is, else the only one that has all of `needed`, else the only one
    that has some of it.

    Args:
        listed: All weights of the checkpoint.
        needed: Keys that the model has.
        asked: Name of the section; None chooses.
        prefix: Of its keys; a dot at its end may be left out.
        where: Names the checkpoint.

    Raises:
        UsageError: There is no such section or no key with the prefix, or several could be meant.
    """
    sections: dict[str, dict[str, Weight]] = {}
    for weight in listed:
        sections.setdefault(weight.section, {})[weight.key] = weight
    if asked is not None and asked not in sections:
        known = [name or "''" for name in sections]
        message = f"{quoted(asked)} is no section of {where}"
        raise UsageError(message, where="--section", hint=closest(asked, known))
    candidates = [
        _below(name, prefix, weights)
        for name, weights in sections.items()
        if asked is None or name == asked
    ]
    held = [section for section in candidates if section.weights]
    if not held:
        raise _no_prefix(prefix, sections if asked is None else {asked: sections[asked]}, where)
    return held[0] if len(held) == 1 else _fitting(held, needed, where)


def _below(name: str, prefix: str, weights: Mapping[str, Weight]) -> Section:
    dotted = f"{prefix}." if prefix and not prefix.endswith(".") else prefix
    if any(key.startswith(dotted) for key in weights):
        prefix = dotted
    below = {
        key.removeprefix(prefix): weight
        for key, weight in weights.items()
        if key.startswith(prefix) and key != prefix
    }
    return Section(name, prefix, below)


def _fitting(held: list[Section], needed: Collection[str], where: str) -> Section:
    """The only one with all keys, else with some, else with some below a prefix.

    One that has only some is not what the model needs, but what it lacks can be said.
    """
    names = several(quoted(each.name) for each in held)
    hint = f"say which is the model's: --section {shell_word(held[0].name)}"
    whole = [each for each in held if not set(needed) - set(each.weights)]
    if len(whole) > 1:
        names = several(quoted(each.name) for each in whole)
        hint = f"say which is the model's: --section {shell_word(whole[0].name)}"
        message = f"{len(whole)} sections hold all that the model has: {names}"
        raise UsageError(message, where=where, hint=hint)
    some = [each for each in held if set(needed) & set(each.weights)]
    lower = [each for each in held if leading(each.weights, needed)]
    for found in (whole, some, lower):
        if len(found) == 1:
            return found[0]
    message = f"none of {len(held)} sections holds all that the model has: {names}"
    raise UsageError(message, where=where, hint=hint)


def _no_prefix(prefix: str, sections: Mapping[str, Mapping[str, Weight]], where: str) -> UsageError:
    starts = [key.partition(".") for weights in sections.values() for key in weights]
    known = dict.fromkeys(first + dot for first, dot, _ in starts if dot)
    message = f"no key of {where} begins with {quoted(prefix)}"
    return UsageError(message, where="--prefix", hint=closest(prefix, known) if known else "")
