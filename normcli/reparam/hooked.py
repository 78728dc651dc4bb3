"""Norms whose parts stand beside each other in a state dict: hooks, wrappers, other libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.records import NormState
from normcli.reparam.axes import spectral_axes, spectral_problem, weight_norm_axes
from normcli.reparam.layout import LAYOUTS, SUFFIXES, Layout, is_weight_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from normcli.records import Axis, TensorRef

_HINTS = {
    frozenset({"_v"}): "'X_g' (weight norm) or 'X_orig' and 'X_u' (spectral norm)",
    frozenset({"_g"}): "'X_v' (weight norm)",
    frozenset({"_u"}): "'X_orig' and 'X_v' (spectral norm)",
    frozenset({"_u", "_v"}): "'X_orig' (spectral norm)",
    frozenset({"_orig"}): "'X_u' and 'X_v' (spectral norm) or 'X_mask' (pruning)",
    frozenset({"_orig", "_u"}): "'X_v' (spectral norm)",
    frozenset({"_orig", "_v"}): "'X_u' (spectral norm)",
    frozenset({"_bar"}): "'X_u' and 'X_v' (spectral norm)",
}


def hooked_states(section: Mapping[str, TensorRef]) -> tuple[list[NormState], dict[str, str]]:
    """Norm states of one section that are spelled with suffixes or with module buffers.

    And beside them, key of a plain weight → what of a norm stands there without being one.
    """
    states, strays = [], {}
    for stem, found in _groups(section).items():
        state = _read_group(stem, found)
        if state is not None:
            states.append(state)
        elif "" in found and _is_weight(stem):
            strays[stem] = _beside(stem, found)
    return states + _neighbour_states(section), strays


def _groups(section: Mapping[str, TensorRef]) -> dict[str, dict[str, TensorRef]]:
    """Key of a would-be weight → suffix → tensor, for every key that carries a known suffix."""
    groups: dict[str, dict[str, TensorRef]] = {}
    for key, ref in section.items():
        for suffix in SUFFIXES:
            stem = key.removesuffix(suffix)
            if stem != key and not stem.endswith(".") and stem:
                groups.setdefault(stem, {})[suffix] = ref
                break
    for stem, found in groups.items():
        if stem in section:
            found[""] = section[stem]
    # Many modules keep a mask of their own beside a weight: alone it says nothing of pruning.
    return {stem: found for stem, found in groups.items() if set(found) - {"", "_mask"}}


def _read_group(stem: str, found: Mapping[str, TensorRef]) -> NormState | None:
    """The state of a complete set of parts, or an unknown one if the weight itself is not there."""
    suffixes = frozenset(found)
    for wanted in (suffixes, suffixes - {""}):
        for row in LAYOUTS:
            if not row.neighbours and wanted == frozenset(row.suffixes.values()):
                return _state(stem, row, {r: found[suffix] for r, suffix in row.suffixes.items()})
    return None if "" in found or not _is_weight(stem) else _incomplete(stem, found)


def _is_weight(stem: str) -> bool:
    return is_weight_name(stem.rpartition(".")[2])


def _state(stem: str, row: Layout, parts: Mapping[str, TensorRef]) -> NormState | None:
    """The state that a complete set of parts means; None where it only looks like one."""
    certain = _is_weight(stem)
    if row.family == "pruning":
        return _pruned(stem, row, parts) if certain else None
    weight = parts["v"] if row.family == "weight" else parts["original"]
    axes: tuple[Axis, ...]
    if row.family == "weight":
        axes, problem = weight_norm_axes(weight.shape, parts["g"].shape), ""
        if not axes:
            problem = _unfit_g(parts)
        if not certain and (problem or parts["g"].parameters >= weight.parameters):
            return None
    else:
        v = parts.get("v")
        axes = spectral_axes(weight.shape, parts["u"].shape, v.shape if v else None)
        problem = "" if axes else spectral_problem(parts, weight.shape)
        if row.name == "weight-bar" and 0 in axes:
            axes = (0,)  # this library never looks at another axis, transposed or not
        if not certain and problem:
            return None
        if "baked" in parts and parts["baked"].shape != weight.shape:
            problem = _unlike(parts["baked"], weight)
    return _made(stem, row, parts, axes=axes, problem=problem)


def _pruned(stem: str, row: Layout, parts: Mapping[str, TensorRef]) -> NormState:
    original, mask = parts["original"], parts["mask"]
    problem = "" if mask.shape == original.shape else _unlike(mask, original)
    return _made(stem, row, parts, axes=(0,), problem=problem)


def _made(
    stem: str,
    row: Layout,
    parts: Mapping[str, TensorRef],
    *,
    axes: tuple[Axis, ...],
    problem: str = "",
) -> NormState:
    weight = parts["v"] if row.family == "weight" else parts["original"]
    return NormState(
        section=weight.section,
        key=stem,
        family=row.family,
        layout=row.name,
        parts=parts,
        axes=axes,
        shape=weight.shape,
        dtype=weight.dtype,
        problem=problem,
    )


def _unlike(part: TensorRef, weight: TensorRef) -> str:
    return f"'{part.key}' has shape {part.shape}, expected {weight.shape} to match '{weight.key}'"


def _unfit_g(parts: Mapping[str, TensorRef]) -> str:
    g, v = parts["g"], parts["v"]
    first = (v.shape[0], *(1 for _ in v.shape[1:])) if v.shape else ()
    return (
        f"'{g.key}' has shape {g.shape}, expected 1 at every axis of '{v.key}' {v.shape} but one, "
        f"usually {first}"
    )


def _beside(stem: str, found: Mapping[str, TensorRef]) -> str:
    names = ", ".join(f"'{found[suffix].key}'" for suffix in sorted(found) if suffix)
    return f"{names} beside '{stem}': expected the weight alone, or all parts of one norm"


def _incomplete(stem: str, found: Mapping[str, TensorRef]) -> NormState:
    """Parts that make no norm: nobody can tell the effective weight from them."""
    names = ", ".join(f"'{found[suffix].key}'" for suffix in sorted(found))
    parts = frozenset(found)
    if parts in _HINTS:
        stands = "stands" if len(parts) == 1 else "stand"
        problem = f"{names} {stands} alone, expected {_HINTS[parts].replace('X', stem)} as well"
    else:
        problem = f"{names} stand side by side, expected the parts of one norm"
    weight = max(found.values(), key=lambda ref: len(ref.shape))
    return NormState(
        section=weight.section,
        key=stem,
        family="unknown",
        layout="legacy",
        parts={suffix.lstrip("_"): ref for suffix, ref in found.items()},
        axes=(),
        shape=weight.shape,
        dtype=weight.dtype,
        problem=problem,
    )


def _neighbour_states(section: Mapping[str, TensorRef]) -> list[NormState]:
    """States whose u stands beside `weight` under a name of the module's own."""
    states = []
    for row in LAYOUTS:
        if not row.neighbours:
            continue
        for module in _modules(section, row.neighbours.values()):
            parts = {role: section[module + name] for role, name in row.neighbours.items()}
            weight = section.get(module + "weight")
            if weight is None or not weight.shape or not _is_row(parts, weight):
                continue
            parts = {"original": weight, **parts, **_further(section, module)}
            states.append(_made(weight.key, row, parts, axes=(0,)))
    return states


def _modules(section: Mapping[str, TensorRef], names: Iterable[str]) -> list[str]:
    first, *rest = names
    prefixes = [key.removesuffix(first) for key in section if key.endswith(first)]
    return [
        prefix
        for prefix in prefixes
        if (not prefix or prefix.endswith(".")) and all(prefix + name in section for name in rest)
    ]


def _is_row(parts: Mapping[str, TensorRef], weight: TensorRef) -> bool:
    return parts["u"].shape == (1, weight.shape[0]) and parts["sigma"].parameters == 1


def _further(section: Mapping[str, TensorRef], module: str) -> dict[str, TensorRef]:
    """BigGAN keeps further singular vectors as u1, sv1, …; only the first is divided by."""
    further = {}
    index = 1
    while module + f"u{index}" in section and module + f"sv{index}" in section:
        further[f"u{index}"] = section[module + f"u{index}"]
        further[f"sv{index}"] = section[module + f"sv{index}"]
        index += 1
    return further
