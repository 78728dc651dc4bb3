"""How the parts of a norm are spelled in a state dict: one row a spelling.

A hook or a wrapper stores the parts of weight `X` beside each other, as `X` plus a suffix or under
names of the module's own. `parametrized.py` reads the other spelling, `parametrizations.X.…`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Layout:
    """A spelling.

    Attributes:
        name: As the report calls it.
        family: Which mathematics the parts mean.
        suffixes: Role → what follows the weight's name; empty is the weight's name itself.
        neighbours: Role → key of the module that holds the part, where it does not carry the
            weight's name (`u0` beside `weight`).
        source: Who writes it.
    """

    name: str
    family: str
    suffixes: Mapping[str, str]
    source: str
    neighbours: Mapping[str, str] = field(default_factory=dict)


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "legacy",
        "spectral",
        {"original": "_orig", "u": "_u", "v": "_v"},
        "torch.nn.utils.spectral_norm, state version 1",
    ),
    Layout(
        "legacy-v0",
        "spectral",
        {"original": "_orig", "u": "_u", "baked": ""},
        "torch.nn.utils.spectral_norm of torch 0.4.1, state version 0",
    ),
    Layout(
        "legacy",
        "weight",
        {"g": "_g", "v": "_v"},
        "torch.nn.utils.weight_norm",
    ),
    Layout(
        "weight-bar",
        "spectral",
        {"original": "_bar", "u": "_u", "v": "_v"},
        "christiancosgrove/pytorch-spectral-normalization-gan",
    ),
    Layout(
        "legacy",
        "pruning",
        {"original": "_orig", "mask": "_mask"},
        "torch.nn.utils.prune",
    ),
    Layout(
        "biggan",
        "spectral",
        {"original": ""},
        "ajbrock/BigGAN-PyTorch, layers.SN",
        neighbours={"u": "u0", "sigma": "sv0"},
    ),
    Layout(
        "mimicry",
        "spectral",
        {"original": ""},
        "kwotsin/mimicry, modules.spectral_norm",
        neighbours={"u": "sn_u", "sigma": "sn_sigma"},
    ),
)

# Every suffix that some layout uses, longest first: how a key is taken apart.
SUFFIXES = tuple(
    sorted({s for row in LAYOUTS for s in row.suffixes.values() if s}, key=len, reverse=True)
)


def is_weight_name(leaf: str) -> bool:
    """Whether a parameter of that name is one that norms are put on.

    RWKV has true parameters `time_mix_g` and `time_mix_v`: a suffix alone proves nothing.
    """
    return leaf.endswith("weight") or leaf.startswith(("weight_", "bias"))
