"""Norms spelled `parametrizations.X.…`, as torch.nn.utils.parametrize stores them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from normcli.records import UNKNOWN, NormState
from normcli.reparam.axes import spectral_axes, spectral_problem, weight_norm_axes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normcli.records import TensorRef

_KEY = re.compile(
    r"(?P<module>(?:.*?\.)?)parametrizations\.(?P<name>[^.]+)\.(?P<rest>.+)", re.DOTALL
)
_PART = re.compile(r"(?P<index>\d{1,4})\.(?P<leaf>.+)", re.DOTALL)
_LAYOUT = "parametrized"


def parametrized_states(
    section: Mapping[str, TensorRef], metadata: Mapping[str, Any]
) -> list[NormState]:
    """All parametrized weights of one section; those that nobody can tell are `unknown`.

    `metadata` is the state dict's `_metadata`: the only evidence of a parametrization without
    state. It is used where it is there and never required.
    """
    groups: dict[tuple[str, str], dict[str, TensorRef]] = {}
    for key, ref in section.items():
        match = _KEY.fullmatch(key)
        if match:
            groups.setdefault((match["module"], match["name"]), {})[match["rest"]] = ref
    listed = _listed_indices(metadata)
    return [
        _read_group(module + name, rests, listed.get(f"{module}parametrizations.{name}", set()))
        for (module, name), rests in groups.items()
    ]


def _listed_indices(metadata: Mapping[str, Any]) -> dict[str, set[int]]:
    """`…parametrizations.X` → the indices that `_metadata` has an entry for."""
    listed: dict[str, set[int]] = {}
    for path in metadata:
        owner, _, index = str(path).rpartition(".")
        if index.isdecimal() and len(index) < 5:
            listed.setdefault(owner, set()).add(int(index))
    return listed


def _read_group(key: str, rests: Mapping[str, TensorRef], listed: set[int]) -> NormState:
    originals = {name: ref for name, ref in rests.items() if name.startswith("original")}
    if any(name.startswith("parametrizations.") for name in rests):
        return _unknown(key, rests, "a parametrization of a parametrization")
    if set(originals) == {"original0", "original1"}:
        return _on_weight_norm(key, rests, listed)
    if set(originals) != {"original"}:
        names = ", ".join(sorted(originals)) or "no original"
        return _unknown(key, rests, f"holds {names}, expected 'original'")
    if not _leaves(rests):
        return _unknown(
            key, rests, "no state: spectral norm of a vector, orthogonal, or a custom map"
        )
    return _stacked(key, rests, originals["original"], None, listed)


def _leaves(rests: Mapping[str, TensorRef]) -> dict[int, dict[str, TensorRef]]:
    """Index of a parametrization → the names under it, `_u` and `_v` of a spectral norm."""
    leaves: dict[int, dict[str, TensorRef]] = {}
    for rest, ref in rests.items():
        part = _PART.fullmatch(rest)
        if part:
            leaves.setdefault(int(part["index"]), {})[part["leaf"]] = ref
    return leaves


def _on_weight_norm(
    key: str,
    rests: Mapping[str, TensorRef],
    listed: set[int],
) -> NormState:
    g, v = rests["original0"], rests["original1"]
    axes = weight_norm_axes(v.shape, g.shape)
    if not axes or 0 in _leaves(rests):
        return _unknown(
            key,
            rests,
            f"'{g.key}' {g.shape} and '{v.key}' {v.shape} are not g and v of weight norm",
        )
    state = NormState(
        section=v.section,
        key=key,
        family="weight",
        layout=_LAYOUT,
        parts={"g": g, "v": v},
        axes=axes,
        shape=v.shape,
        dtype=v.dtype,
    )
    return _stacked(key, rests, v, state, listed)


def _stacked(
    key: str,
    rests: Mapping[str, TensorRef],
    weight: TensorRef,
    base: NormState | None,
    listed: set[int],
) -> NormState:
    """A spectral norm for every index that has u and v, on top of the weight or of weight norm."""
    leaves = _leaves(rests)
    offset = 0 if base is None else 1
    expected = set(range(offset, offset + len(leaves)))
    stateless = (expected | listed) - set(leaves) - set(range(offset))
    if stateless:
        return _unknown(key, rests, f"index {min(stateless)} has no state: a custom map")
    norms = [] if base is None else [base]
    for index in sorted(leaves):
        if set(leaves[index]) != {"_u", "_v"}:
            names = ", ".join(sorted(leaves[index]))
            known = "an orthogonal map" if "base" in leaves[index] else "a custom map"
            return _unknown(key, rests, f"index {index} holds {names}: {known}")
        norms.append(_spectral(key, weight, leaves[index]))
    return _joined(key, norms, rests)


def _spectral(key: str, weight: TensorRef, leaves: Mapping[str, TensorRef]) -> NormState:
    parts = {"original": weight, "u": leaves["_u"], "v": leaves["_v"]}
    return NormState(
        section=weight.section,
        key=key,
        family="spectral",
        layout=_LAYOUT,
        parts=parts,
        axes=spectral_axes(weight.shape, parts["u"].shape, parts["v"].shape),
        shape=weight.shape,
        dtype=weight.dtype,
        problem=spectral_problem(parts, weight.shape),
    )


def _joined(key: str, norms: list[NormState], rests: Mapping[str, TensorRef]) -> NormState:
    """One norm as it is; several as a stack that is named after the last one."""
    if len(norms) == 1:
        return norms[0]
    last = norms[-1]
    return NormState(
        section=last.section,
        key=key,
        family=last.family,
        layout=_LAYOUT,
        parts=dict(rests),
        axes=last.axes,
        shape=last.shape,
        dtype=last.dtype,
        stack=tuple(norms),
        problem=next((norm.problem for norm in norms if norm.problem), ""),
    )


def _unknown(key: str, rests: Mapping[str, TensorRef], reason: str) -> NormState:
    weight = max(rests.values(), key=lambda ref: (len(ref.shape), ref.parameters))
    weight = rests.get("original", weight)
    return NormState(
        section=weight.section,
        key=key,
        family="unknown",
        layout=_LAYOUT,
        parts=dict(rests),
        axes=(),
        shape=weight.shape,
        dtype=weight.dtype,
        problem=f"{UNKNOWN}: {reason}",
    )
