"""A state dict's `_metadata` as one string, for a format whose metadata are strings."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from normcli.errors import CheckpointError
from normcli.formats.strict_json import parse_json, unique

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normcli.formats.budgets import Budgets

STATE_METADATA = "normcli.state_dict_metadata"  # its key in the `__metadata__` of safetensors

_LEVELS = 8  # containers inside one another, as the reader of torch files counts them


def packed(metadata: Mapping[str, Any]) -> str | None:
    """Compact JSON `{"": {module path: entry}}`, sorted; None where JSON cannot hold it.

    The outer key is the section, of which a file without sections has one.
    """
    entries = dict(metadata)
    if not _is_plain(entries, _LEVELS):
        return None
    return json.dumps({"": entries}, separators=(",", ":"), sort_keys=True)


def unpacked(text: str, budgets: Budgets) -> dict[str, dict[str, Any]] | None:
    """Section → `_metadata`, as `packed` wrote it; None for any other text."""
    raw = text.encode("utf-8", "surrogatepass")
    share = replace(budgets, memory=budgets.memory // 4)  # the rest is the header's around it
    try:
        value = parse_json(raw, "the metadata", share, unique)
    except CheckpointError:
        return None
    if not isinstance(value, dict) or list(value) != [""] or not isinstance(value[""], dict):
        return None
    return value if _is_plain(value[""], _LEVELS) else None


def _is_plain(value: object, levels: int) -> bool:
    """Whether JSON gives the value back as it is."""
    if isinstance(value, dict):
        return levels > 0 and all(
            isinstance(key, str) and _is_plain(item, levels - 1) for key, item in value.items()
        )
    if isinstance(value, list):
        return levels > 0 and all(_is_plain(item, levels - 1) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)
