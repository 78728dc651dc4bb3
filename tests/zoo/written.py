"""Modules side by side in one state dict, so that one run of a writer shows many cases.

A stall is one module of a menagerie: a kind of the zoo and the row axis that its norm is given.
Everything here is torch's own doing, or that of the safetensors library.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import modules
import pytest
import torch
from modules import DTYPES, Kind
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KINDS = modules.KINDS | {
    "square conv transpose 1d": Kind(lambda: nn.ConvTranspose1d(4, 4, 3), rows=1),
}
TARGETS = ("legacy", "parametrized")
CONTAINERS = {"torch": ".pt", "safetensors": ".safetensors", "shards": ""}
INDEX = "model.safetensors.index.json"
TORCH_INDEX = "pytorch_model.bin.index.json"  # as huggingface_hub names the shards of torch

# σ = uᵀWv in the dtype itself: a product, a sum and u, v are rounded
SIGMA = {"float32": 1e-6, "float64": 1e-9, "float16": 5e-3, "bfloat16": 4e-2}
# of the largest entry: σ twice, and the sums of the layer itself
OUTPUT = {"float32": 1e-5, "float64": 1e-8, "float16": 2e-2, "bfloat16": 1.2e-1}


@dataclass(frozen=True)
class Stall:
    """One module: its attribute in the menagerie, its kind, the row axis of its norm."""

    name: str
    kind: Kind
    axis: int | None

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> str:
        """State-dict key of the plain weight."""
        return f"{self.name}.{self.kind.weight}"

    def make(self, dtype: str, salt: str = "") -> nn.Module:
        """The plain module; another salt gives other numbers in the same shapes."""
        torch.manual_seed(crc32(f"{self.name}{dtype}{salt}".encode()))
        return self.kind.make().to(getattr(torch, dtype))

    def normed(self, family: str, target: str, dtype: str, salt: str = "") -> nn.Module:
        """The same module after torch's own call, evaluating."""
        module = self.make(dtype, salt).eval()
        if target != "plain":
            modules._put_on(module, self.kind.weight, target, family, self.axis)
        return module

    def trained(self, family: str, target: str, dtype: str, salt: str = "") -> nn.Module:
        """The same module after some training, evaluating."""
        return loaded(
            self.normed(family, target, dtype, salt),
            _trained_state(self, family, target, dtype, salt),
        )


@cache
def _trained_state(
    stall: Stall, family: str, target: str, dtype: str, salt: str
) -> Mapping[str, Tensor]:
    module = stall.normed(family, target, dtype, salt)
    modules._train(module, stall.kind.weight)
    return module.state_dict()


def _slug(*words: object) -> str:
    return " ".join(str(word) for word in words).replace(" ", "_")


def _weight_norm_stalls() -> Iterable[Stall]:
    for name, kind in KINDS.items():
        axes = {0: 0, 1: 1, "last": kind.ndim - 1, None: None}
        if kind.ndim == 2:
            del axes["last"]
        for label, axis in axes.items():
            yield Stall(_slug(name, "dim", label), kind, axis)


STALLS = {
    "spectral": tuple(Stall(_slug(name), kind, kind.rows) for name, kind in KINDS.items()),
    "weight": tuple(_weight_norm_stalls()),
}


def stalls_of(family: str, kind: str) -> tuple[Stall, ...]:
    """The stalls of one kind: for weight norm one an axis."""
    return tuple(each for each in STALLS[family] if each.kind is KINDS[kind])


def cases(*families: str) -> list[object]:
    """(family, target, dtype, stalls) for every kind."""
    return [
        pytest.param(family, target, dtype, stalls, id=f"{family}-{target}-{dtype}-{kind}")
        for family in families
        for target in TARGETS
        for dtype in DTYPES
        for kind in KINDS
        for stalls in [stalls_of(family, kind)]
    ]


def row_axes(family: str) -> dict[str, int | None]:
    """The option `dims` that gives every stall its axis."""
    if family == "spectral":
        return {"*conv_transpose*": 1}
    return {stall.key: stall.axis for stall in STALLS["weight"] if stall.axis != 0}


def menagerie(family: str, target: str, dtype: str, *, trained: bool = False) -> nn.ModuleDict:
    """All stalls of a family, plain or with norms that torch put on."""
    make = Stall.trained if trained else Stall.normed
    return nn.ModuleDict(
        {stall.name: make(stall, family, target, dtype) for stall in STALLS[family]}
    )


def of_stall(state: Mapping[str, Tensor], stall: Stall) -> OrderedDict[str, Tensor]:
    """The part of a state dict that belongs to one module, its `_metadata` as well."""
    start = f"{stall.name}."
    part = OrderedDict((k.removeprefix(start), v) for k, v in state.items() if k.startswith(start))
    metadata = getattr(state, "_metadata", None)
    if metadata is not None:
        part._metadata = {
            path.removeprefix(stall.name).lstrip("."): entry
            for path, entry in metadata.items()
            if f"{path}.".startswith(start)
        }
    return part


def loaded(module: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """The module, evaluating, after a strict load."""
    module.load_state_dict(state, strict=True)
    return module.eval()


def taken_off(module: nn.Module, stall: Stall) -> Tensor:
    """The weight that torch's own removal leaves."""
    return modules._taken_off(module.eval(), stall.kind.weight)


def singular_value(weight: Tensor, axis: int | None) -> float:
    """σ₁ by a dense decomposition in float64."""
    return torch.linalg.svdvals(modules.matrix_of(weight.detach(), axis or 0))[0].item()


def top_pair(weight: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """(u, v) of σ₁ by a dense decomposition in float64, rounded to the weight's dtype."""
    left, _, right = torch.linalg.svd(modules.matrix_of(weight.detach(), axis))
    return left[:, 0].to(weight.dtype), right[0].to(weight.dtype)


def output(module: nn.Module) -> Tensor:
    """What the module computes from an input that depends on nothing but its shapes."""
    with torch.no_grad():
        found = module.eval()(*_inputs(module))
    return found[0] if isinstance(found, tuple) else found


def _inputs(module: nn.Module) -> tuple[Tensor, ...]:
    torch.manual_seed(1)
    if isinstance(module, nn.Embedding):
        return (torch.arange(module.num_embeddings),)
    dtype = next(module.parameters()).dtype
    if isinstance(module, nn.Bilinear):
        sizes: tuple[tuple[int, ...], ...] = ((2, module.in1_features), (2, module.in2_features))
    elif isinstance(module, nn.Linear):
        sizes = ((2, module.in_features),)
    elif isinstance(module, nn.RNNBase):
        sizes = ((3, 2, module.input_size),)
    elif isinstance(module, nn.MultiheadAttention):
        sizes = ((3, 2, module.embed_dim),) * 3
    else:
        sizes = ((2, module.in_channels, *(6 for _ in module.kernel_size)),)
    return tuple(torch.randn(size).to(dtype) for size in sizes)


def assert_same_output(found: Tensor, expected: Tensor, dtype: str) -> None:
    """Equal but for a share of the largest entry that the dtype allows."""
    room = OUTPUT[dtype] * expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=0, atol=room)


def assert_equal(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Two state dicts of the same keys, shapes, dtypes and bits."""
    assert set(found) == set(expected)
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype, key
        assert found[key].shape == tensor.shape, key
        same = torch.equal(found[key].nan_to_num(7), tensor.nan_to_num(7))
        assert same, f"{key} differs by {(found[key].double() - tensor.double()).abs().max()}"


def assert_same_metadata(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Two state dicts whose `_metadata` say the same of the same modules, in whatever order."""
    assert dict(found._metadata) == dict(expected._metadata)


def assert_spelled_alike(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Two state dicts of the same keys, shapes and dtypes."""

    def spelling(state: Mapping[str, Tensor]) -> dict[str, object]:
        return {key: (tensor.shape, tensor.dtype) for key, tensor in state.items()}

    assert spelling(found) == spelling(expected)


def save(state: Mapping[str, Tensor], path: Path) -> Path:
    """As torch.save does for `.pt`, as safetensors does for its suffix, else as shards of it."""
    if path.suffix == ".pt":
        torch.save(state, path)
    elif path.suffix:
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
    else:
        _save_shards(dict(state), path)
    return path


def _save_shards(state: Mapping[str, Tensor], folder: Path) -> None:
    folder.mkdir()
    places = {}
    for number in (1, 2):
        name = f"model-{number:05}-of-00002.safetensors"
        keys = list(state)[number - 1 :: 2]
        save_file({key: state[key].contiguous() for key in keys}, folder / name)
        places |= dict.fromkeys(keys, name)
    size = sum(tensor.nbytes for tensor in state.values())
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (folder / INDEX).write_text(json.dumps(index))


def load(path: str | Path) -> Mapping[str, Tensor]:
    """Written by anyone, read by torch or by the safetensors library."""
    path = Path(path)
    if path.suffix == ".pt":
        return torch.load(path, map_location="cpu", weights_only=True)
    if path.suffix:
        return load_file(path)
    state = {}
    for shard in shards(path).values():
        assert not set(state) & set(shard)
        state |= shard
    return state


def shards(folder: Path) -> dict[str, Mapping[str, Tensor]]:
    """Name of a shard → its tensors, which are those that the index says."""
    index = next(folder / name for name in (INDEX, TORCH_INDEX) if (folder / name).exists())
    places = json.loads(index.read_text())["weight_map"]
    read = load_file if index.name == INDEX else partial(torch.load, weights_only=True)
    found = {name: read(folder / name) for name in sorted(set(places.values()))}
    assert {key: name for name, shard in found.items() for key in shard} == places
    return found
