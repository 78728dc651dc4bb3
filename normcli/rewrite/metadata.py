"""The `_metadata` of a state dict whose norms were respelled, as torch's own modules write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from normcli.records import NormState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from normcli.records import Step, Weight

_CHAIN = "parametrizations"
_SPECTRAL = "spectral_norm"
_LAYOUT = "parametrized"  # the one whose entries are those of a chain


def rewritten(
    metadata: Mapping[str, Mapping[str, Any]], steps: Iterable[Step]
) -> dict[str, dict[str, Any]]:
    """Section → its new `_metadata`, for sections that have one and hold a respelled weight.

    The hook's entry is `[module]["spectral_norm"]["X.version"]`, a parametrization has an entry for
    `parametrizations`, `parametrizations.X` and each `parametrizations.X.i`. Files without
    `_metadata` get none: torch does not need it for any layout that is written here.
    """
    changed: dict[str, dict[str, Any]] = {}
    for step in steps:
        section = step.weight.section
        if section not in metadata or step.result is None:
            continue
        entries = changed.setdefault(section, dict(metadata[section]))
        _forget(entries, step.weight)
        _enter(entries, step.result)
    return {section: new for section, new in changed.items() if new != metadata[section]}


def _forget(entries: dict[str, Any], weight: Weight) -> None:
    module, name = _split(weight)
    if not isinstance(weight, NormState):
        return
    if weight.layout != _LAYOUT:
        _forget_hook(entries, module, name)
        return
    chain = _path(module, _CHAIN)
    own = f"{chain}.{name}"
    for path in [p for p in entries if p == own or str(p).startswith(f"{own}.")]:
        del entries[path]
    if not any(str(path).startswith(f"{chain}.") for path in entries):
        entries.pop(chain, None)


def _forget_hook(entries: dict[str, Any], module: str, name: str) -> None:
    entry = entries.get(module)
    if not isinstance(entry, dict) or not isinstance(entry.get(_SPECTRAL), dict):
        return
    versions = {key: value for key, value in entry[_SPECTRAL].items() if key != f"{name}.version"}
    rest = {key: value for key, value in entry.items() if key != _SPECTRAL}
    entries[module] = {**rest, _SPECTRAL: versions} if versions else rest


def _enter(entries: dict[str, Any], result: Weight) -> None:
    if not isinstance(result, NormState):
        return
    module, name = _split(result)
    if result.layout == _LAYOUT:
        chain = _path(module, _CHAIN)
        indices = [f"{chain}.{name}.{index}" for index in range(len(result.stack) or 1)]
        for path in (chain, f"{chain}.{name}", *indices):
            entries.setdefault(path, {"version": 1})
    elif result.family == "spectral":
        entry = entries.get(module, {"version": 1})
        versions = {**entry.get(_SPECTRAL, {}), f"{name}.version": 1}
        entries[module] = {**entry, _SPECTRAL: versions}


def _split(weight: Weight) -> tuple[str, str]:
    module, _, name = weight.key.rpartition(".")
    return module, name


def _path(module: str, leaf: str) -> str:
    return f"{module}.{leaf}" if module else leaf
