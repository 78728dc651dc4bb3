"""Every weight of a header, once: plain tensors, and norm states in place of their parts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from normcli.reparam.hooked import hooked_states
from normcli.reparam.parametrized import parametrized_states

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from normcli.records import Axis, NormState, TensorRef, Weight


def weights(
    header: Mapping[str, TensorRef], metadata: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Weight, ...]:
    """All weights in checkpoint order; every tensor of the header is one, or a part of one.

    A state stands where the first of its parts stood. Vectors, scalars and integer tensors are
    listed as they are: what is worth measuring is for the caller to say. Needs names, shapes and
    dtypes only.

    Args:
        header: `SECTION/KEY` → tensor.
        metadata: Section → `_metadata` of its state dict, where the file has one.
    """
    sections: dict[str, dict[str, TensorRef]] = {}
    for ref in header.values():
        sections.setdefault(ref.section, {})[ref.key] = ref
    owner: dict[str, NormState] = {}
    strays: dict[str, str] = {}
    scaled: dict[str, str] = {}
    for name, section in sections.items():
        hooked, stray = hooked_states(section)
        states = [*hooked, *parametrized_states(section, (metadata or {}).get(name, {}))]
        for state in _one_each(states, section):
            owner.update(dict.fromkeys(_names(state), state))
        strays.update(
            (section[key].name, note)
            for key, note in stray.items()
            if section[key].name not in owner
        )
        scaled.update(_scaled(section))
    return tuple(_in_order(header.values(), owner, strays, scaled))


def problem(state: NormState, axis: Axis | str = "auto") -> str:
    """Why no effective weight can be told, empty where it can.

    One number g of as many axes as v has is nothing that torch writes, but axis None from outside
    says what was meant: one norm over the whole tensor.
    """
    if axis is None and state.family == "weight" and not state.stack:
        return "" if state.parts["g"].parameters == 1 else state.problem
    return state.problem


def _scaled(section: Mapping[str, TensorRef]) -> Iterator[tuple[str, str]]:
    """Name of a float8 weight with scales of its own beside it → that they are not applied."""
    for key, ref in section.items():
        scales = [key + end for end in ("_scale_inv", "_scale") if key + end in section]
        if scales and ref.dtype.startswith("float8"):
            yield ref.name, f"float8 beside '{scales[0]}': the numbers are of the unscaled values"


def _names(state: NormState) -> list[str]:
    return [part.name for norm in (state, *state.stack) for part in norm.parts.values()]


def _one_each(states: list[NormState], section: Mapping[str, TensorRef]) -> list[NormState]:
    """One state a weight: two layouts of one weight, or a norm beside the weight, are a problem."""
    by_key: dict[str, NormState] = {}
    for state in states:
        by_key[state.key] = _undoubted(state, by_key.get(state.key), section.get(state.key))
    return list(by_key.values())


def _undoubted(state: NormState, twin: NormState | None, plain: TensorRef | None) -> NormState:
    if twin is not None:
        parts = {f"{twin.layout} {role}": ref for role, ref in twin.parts.items()}
        problem = f"stored in two layouts, {twin.layout} and {state.layout}, expected one"
        return _doubtful(state, parts, problem)
    if plain is not None and plain.name not in _names(state):
        problem = f"'{state.key}' stands beside the parts of its norm, expected one of the two"
        return _doubtful(state, {"plain": plain}, problem)
    return state


def _doubtful(state: NormState, parts: Mapping[str, TensorRef], problem: str) -> NormState:
    together = {**state.parts, **parts}
    return replace(state, family="unknown", parts=together, stack=(), axes=(), problem=problem)


def _in_order(
    refs: Iterable[TensorRef],
    owner: Mapping[str, NormState],
    strays: Mapping[str, str],
    scaled: Mapping[str, str],
) -> Iterator[Weight]:
    """A state at the place of its first part; a weight with strays beside it carries the note."""
    given: set[int] = set()
    for ref in refs:
        state = owner.get(ref.name)
        if state is None:
            stray = strays.get(ref.name, "")
            note = scaled.get(ref.name, stray)
            yield replace(ref, note=note, problem=stray) if note else ref
        elif id(state) not in given:
            given.add(id(state))
            yield state
