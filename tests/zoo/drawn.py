"""State dicts that nobody chose: layers under torch's norms, other tensors, plain content."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

PUT = {
    ("spectral", "legacy"): spectral_norm,
    ("spectral", "parametrized"): parametrizations.spectral_norm,
    ("weight", "legacy"): weight_norm,
    ("weight", "parametrized"): parametrizations.weight_norm,
}

WORDS = st.text("abcxyz_0123456789", min_size=1, max_size=5)
PREFIXES = st.lists(WORDS, min_size=1, max_size=3).map(".".join)
SHAPES = st.lists(st.integers(1, 5), min_size=2, max_size=4).map(tuple)
FLOATS = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16])
OTHERS = st.sampled_from(
    [torch.float32, torch.int64, torch.uint8, torch.bool, torch.bfloat16, torch.complex64]
)
PLAIN_DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5)
    | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """A weight that was drawn."""

    prefix: str
    weight: torch.Tensor
    axis: int
    family: str
    bias: bool

    @property
    def key(self) -> str:
        return f"{self.prefix}.weight"

    def module(self, target: str) -> nn.Module:
        """With the norm that torch puts on, after a few training steps."""
        module = nn.Module().eval()
        module.weight = nn.Parameter(self.weight.clone())
        if self.bias:
            module.bias = nn.Parameter(torch.arange(3.0))
        if target == "plain":
            return module
        torch.manual_seed(len(self.prefix))
        PUT[self.family, target](module, dim=self.axis)
        if self.family == "spectral":
            module.train()
            for hook in [*module._forward_pre_hooks.values()] * 3:
                hook(module, ())
            if target == "parametrized":
                _ = module.weight
        return module.eval()


@st.composite
def _layers(draw, family):
    seed, shape = draw(st.integers(0, 2**32)), draw(SHAPES)
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(draw(FLOATS))
    axis = draw(st.integers(0, len(shape) - 1))
    return Layer("", weight, axis, draw(family), draw(st.booleans()))


@dataclass(frozen=True)
class Drawn:
    """Layers, other tensors and plain content, nested somehow."""

    layers: tuple[Layer, ...]
    others: dict[str, torch.Tensor]
    content: dict[str, Any]
    nesting: str

    def state(self, target: str) -> OrderedDict[str, torch.Tensor]:
        """With `_metadata`, as a module gives it."""
        state: OrderedDict[str, torch.Tensor] = OrderedDict()
        state._metadata = OrderedDict({"": {"version": 1}})
        for layer in self.layers:
            part = layer.module(target).state_dict(prefix=f"{layer.prefix}.")
            state |= part
            state._metadata |= part._metadata
        state |= self.others
        return state

    def document(self, target: str) -> dict[str, Any]:
        """What torch.save is given."""
        state = self.state(target)
        if self.nesting == "bare":
            return state
        if self.nesting == "wrapped":
            return {"state_dict": state, **self.content}
        second = OrderedDict({"head.table": torch.arange(6).reshape(2, 3)})
        return {**self.content, "nets": {"G": state, "D": second}}

    @property
    def section(self) -> str:
        """What stands before the keys in the name of a weight."""
        return {"bare": "", "wrapped": "state_dict/", "nested": "nets/G/"}[self.nesting]

    @property
    def options(self) -> dict[str, Any]:
        """Which weights are meant, and their axes."""
        names = {f"{self.section}{layer.key}": layer.axis for layer in self.layers}
        return {"include": list(names), "dims": names}

    def found(self, document: dict[str, Any]) -> dict[str, torch.Tensor]:
        """The same state dict in a document that was loaded."""
        if self.nesting == "bare":
            return document
        return document["state_dict"] if self.nesting == "wrapped" else document["nets"]["G"]


@st.composite
def documents(draw, families=("spectral", "weight"), nestings=("bare", "wrapped", "nested")):
    layers = draw(st.lists(_layers(st.sampled_from(families)), min_size=1, max_size=3))
    prefixes = draw(
        st.lists(PREFIXES, min_size=len(layers), max_size=len(layers), unique=True).filter(
            lambda names: (
                not any(f"{a}.weight".startswith(f"{b}.weight.") for a in names for b in names)
            )
        )
    )
    layers = [
        Layer(f"net.{prefix}", each.weight, each.axis, each.family, each.bias)
        for prefix, each in zip(prefixes, layers, strict=True)
    ]
    others = {}
    for name in draw(st.lists(WORDS, max_size=4, unique=True)):
        shape = draw(st.lists(st.integers(0, 4), max_size=3))
        others[f"other.{name}"] = (
            torch.arange(float(torch.Size(shape).numel())).reshape(shape).to(draw(OTHERS))
        )
    content = {
        f"plain_{k}": v for k, v in draw(st.dictionaries(WORDS, PLAIN_DATA, max_size=3)).items()
    }
    return Drawn(tuple(layers), others, content, draw(st.sampled_from(nestings)))
