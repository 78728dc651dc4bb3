"""Norms in a state dict: how their keys are spelled, and what the layer computes with.

To add a spelling of a known norm: one row in `LAYOUTS`. To add a norm: its mathematics in a file of
its own and a line in `FAMILIES`. The proof is a file that the other library wrote and the weight
that its own removal gives. `weights` needs no torch; what reads values imports it when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.reparam.layout import LAYOUTS
from normcli.reparam.spelling import spelled
from normcli.reparam.walk import problem, weights

if TYPE_CHECKING:
    from normcli.reparam.decoding import (
        FAMILIES,
        Decoded,
        decode,
        effective_weight,
        read_state,
    )

__all__ = [
    "FAMILIES",
    "LAYOUTS",
    "Decoded",
    "decode",
    "effective_weight",
    "problem",
    "read_state",
    "spelled",
    "weights",
]

_OF_VALUES = frozenset({"FAMILIES", "Decoded", "decode", "effective_weight", "read_state"})


def __getattr__(name: str) -> object:
    """Import what reads values, and torch with it, when it is first asked for."""
    if name in _OF_VALUES:
        from normcli.reparam import decoding

        return getattr(decoding, name)
    raise AttributeError(f"module 'normcli.reparam' has no attribute {name!r}")
