"""Models that are initialized, and an oracle of torch's modules and NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrizations, weight_norm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MEAN, STD = 1e-5, 1e-4  # what a float32 layer reaches
WRAPS = {"legacy": weight_norm, "parametrized": parametrizations.weight_norm}
LAYOUTS = ("plain", *WRAPS)


class Residual(nn.Module):
    """Convolutions with in-place relus and skip connections, defined from last to first."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 4)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.first = nn.Conv2d(6, 6, 3, padding=1)
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, image):
        flow = self.relu(self.stem(image))
        flow = flow + self.relu(self.first(flow))
        flow = self.second(flow).add_(flow).relu_()
        return self.head(flow.mean(dim=(2, 3)))


class Decoder(nn.Module):
    """Transposed convolutions with stride, groups and an output padding."""

    def __init__(self):
        super().__init__()
        self.inside = nn.Linear(5, 8 * 3 * 3)
        self.up = nn.ConvTranspose2d(8, 6, 3, stride=2, output_padding=1)
        self.grouped = nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1, groups=2)
        self.last = nn.ConvTranspose2d(4, 3, 3, padding=1)

    def forward(self, code):
        flow = functional.leaky_relu(self.inside(code)).view(-1, 8, 3, 3)
        flow = functional.leaky_relu(self.up(flow), 0.2)
        flow = torch.tanh(self.grouped(flow))
        return self.last(flow)


def mlp():
    return nn.Sequential(
        nn.Linear(7, 12), nn.ReLU(), nn.Linear(12, 9), nn.ReLU(inplace=True), nn.Linear(9, 4)
    )


def convnet():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 6, 3, stride=2),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(24, 5),
    )


@dataclass(frozen=True)
class Net:
    """How to build a model, the shape of its batch, its layers in the order that they run."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    layers: tuple[str, ...]

    def build(self, layout: str = "plain") -> nn.Module:
        """With the same weights in every layout."""
        torch.manual_seed(3)
        model = self.make()
        return normed(model, self.layers, layout)

    def batch(self) -> Tensor:
        return drawn(*self.shape)


NETS = {
    "mlp": Net(mlp, (50, 7), ("0", "2", "4")),
    "convnet": Net(convnet, (6, 3, 10, 10), ("0", "3", "6")),
    "residual net": Net(Residual, (12, 3, 8, 8), ("stem", "first", "second", "head")),
    "decoder": Net(Decoder, (9, 5), ("inside", "up", "grouped", "last")),
}


def drawn(*shape, seed=11):
    """Numbers around 0.3 of deviation 2."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator) * 2 + 0.3


def normed(model, layers: Iterable[str], layout: str, dim: int | None = 0):
    """The model with torch's weight norm on some of its layers."""
    for path in layers:
        if layout != "plain":
            WRAPS[layout](model.get_submodule(path), "weight", dim)
    return model


def respelled(state, layers: Iterable[str], layout: str):
    """A plain state dict with g = ‖v‖ of every row and v = W, spelled as torch's weight norm."""
    names = {
        "legacy": ("weight_g", "weight_v"),
        "parametrized": ("parametrizations.weight.original0", "parametrizations.weight.original1"),
    }[layout]
    result = dict(state)
    for path in layers:
        weight = result.pop(f"{path}.weight").numpy()
        axes = tuple(range(1, weight.ndim))
        g = np.sqrt(np.square(weight.astype(np.float64)).sum(axis=axes, keepdims=True))
        result[f"{path}.{names[0]}"] = torch.from_numpy(g.astype(weight.dtype))
        result[f"{path}.{names[1]}"] = torch.from_numpy(weight)
    return result


def outputs(model, batch, layers: Iterable[str]) -> dict[str, np.ndarray]:
    """What each layer gives, of the shape (units, count) in float64, and `""` of the model."""
    found: dict[str, np.ndarray] = {}

    def hook(path: str) -> Callable[..., None]:
        def called(module: nn.Module, _arguments: Any, output: Tensor) -> None:
            found[path] = by_unit(module, output)

        return called

    handles = [model.get_submodule(path).register_forward_hook(hook(path)) for path in layers]
    arguments = batch if isinstance(batch, tuple) else (batch,)
    with torch.no_grad():
        found[""] = model(*(each.clone() for each in arguments)).double().numpy()
    for handle in handles:
        handle.remove()
    return found


def by_unit(module, output: Tensor) -> np.ndarray:
    """(units, count) in float64: of a convolution the units are channels, else the last axis."""
    values = output.detach().double().numpy().copy()
    positions = module.weight.ndim - 2 if isinstance(module, _ConvNd) else 0
    axis = values.ndim - 1 - positions
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def assert_standard(rows: np.ndarray, *, mean=MEAN, std=STD):
    """Every unit has mean 0 and population standard deviation 1."""
    assert np.abs(rows.mean(axis=1)).max() <= mean
    assert np.abs(rows.std(axis=1) - 1).max() <= std


def copied(model) -> dict[str, Tensor]:
    """Its state dict, in memory of its own."""
    return {key: value.clone() for key, value in model.state_dict().items()}


def assert_same_bits(model, state):
    """The state dict of the model is what it was, NaN and the sign of zero included."""
    now = model.state_dict()
    assert list(now) == list(state)
    for key, value in state.items():
        bits = (tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (now[key], value))
        assert torch.equal(*bits), key
