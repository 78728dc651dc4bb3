"""One layer of every kind, dtype, memory format and axis of weight norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from initialize_models import LAYOUTS, WRAPS, assert_standard, by_unit, copied, drawn
from torch import nn

import normcli

if TYPE_CHECKING:
    from collections.abc import Callable

torch.set_num_threads(1)


class Turned(nn.Module):
    """A linear layer whose weight is (in, out), as GPT-2 keeps it."""

    def __init__(self, inputs, units):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, units) * 0.02)
        self.bias = nn.Parameter(torch.zeros(units))

    def forward(self, x):
        return torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight).view(
            *x.shape[:-1], -1
        )


class Quieter(nn.Linear):
    """A linear layer with a class of its own, scaled as equalized learning rates are."""

    def forward(self, x):
        return nn.functional.linear(x, self.weight * 0.3, self.bias)


class ChannelsFirst(nn.Module):
    """A linear layer over axis 1 of three."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 4))
        self.bias = nn.Parameter(torch.zeros(6))

    def forward(self, x):
        return torch.einsum("oi,bip->bop", self.weight, x) + self.bias[:, None]


def lazy():
    module = nn.LazyLinear(6)
    module(torch.zeros(1, 5))
    return module


@dataclass(frozen=True)
class Kind:
    """A layer, the shapes of its inputs, and the axis of the units in its weight."""

    make: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    units: int = 0
    grouped: bool = False
    channel: int | None = None

    def build(self):
        torch.manual_seed(7)
        return self.make()

    def batch(self, dtype=torch.float32):
        return tuple(drawn(*shape, seed=i).to(dtype) for i, shape in enumerate(self.shapes))

    def rows(self, module, batch):
        with torch.no_grad():
            output = module.eval()(*batch)
        if self.channel is None:
            return by_unit(module, output)
        moved = np.moveaxis(output.double().numpy(), self.channel, 0)
        return moved.reshape(len(moved), -1)


KINDS = {
    "linear": Kind(lambda: nn.Linear(7, 5), ((40, 7),)),
    "square linear": Kind(lambda: nn.Linear(6, 6), ((30, 6),)),
    "linear with as many rows as units": Kind(lambda: nn.Linear(8, 8), ((8, 8),)),
    "linear of one unit": Kind(lambda: nn.Linear(9, 1), ((20, 9),)),
    "linear of one input": Kind(lambda: nn.Linear(1, 9), ((20, 1),)),
    "linear over positions": Kind(lambda: nn.Linear(5, 4), ((3, 7, 5),)),
    "linear over four axes": Kind(lambda: nn.Linear(4, 4), ((2, 3, 4, 4),)),
    "bilinear": Kind(lambda: nn.Bilinear(3, 4, 5), ((40, 3), (40, 4))),
    "conv1d": Kind(lambda: nn.Conv1d(4, 6, 5, dilation=2), ((5, 4, 20),)),
    "conv2d": Kind(lambda: nn.Conv2d(3, 5, 3, stride=2), ((4, 3, 9, 9),)),
    "circular conv2d": Kind(
        lambda: nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"), ((3, 3, 3, 3),)
    ),
    "conv3d": Kind(lambda: nn.Conv3d(2, 4, (2, 3, 2)), ((3, 2, 5, 5, 5),)),
    "grouped conv2d": Kind(lambda: nn.Conv2d(6, 8, 3, groups=2), ((4, 6, 6, 6),)),
    "depthwise conv2d": Kind(lambda: nn.Conv2d(6, 6, 3, groups=6), ((4, 6, 6, 6),)),
    "depthwise conv1d of two a channel": Kind(lambda: nn.Conv1d(4, 8, 3, groups=4), ((4, 4, 9),)),
    "conv transpose 1d": Kind(lambda: nn.ConvTranspose1d(4, 6, 3), ((5, 4, 8),), units=1),
    "conv transpose 2d": Kind(
        lambda: nn.ConvTranspose2d(3, 5, 3, stride=2, output_padding=1), ((4, 3, 5, 5),), units=1
    ),
    "square conv transpose 2d": Kind(lambda: nn.ConvTranspose2d(4, 4, 4), ((4, 4, 4, 4),), units=1),
    "conv transpose 3d": Kind(lambda: nn.ConvTranspose3d(2, 3, 2), ((3, 2, 4, 4, 4),), units=1),
    "grouped conv transpose 2d": Kind(
        lambda: nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2),
        ((4, 6, 4, 4),),
        units=1,
        grouped=True,
    ),
    "grouped conv transpose 1d of square groups": Kind(
        lambda: nn.ConvTranspose1d(6, 6, 3, groups=3), ((4, 6, 7),), units=1, grouped=True
    ),
    "depthwise conv transpose 1d": Kind(
        lambda: nn.ConvTranspose1d(5, 5, 4, stride=2, groups=5), ((4, 5, 6),), units=1, grouped=True
    ),
    "unbatched conv1d": Kind(lambda: nn.Conv1d(4, 6, 3), ((4, 30),)),
    "unbatched conv2d": Kind(lambda: nn.Conv2d(3, 9, 3), ((3, 9, 9),)),
    "unbatched conv3d": Kind(lambda: nn.Conv3d(2, 3, 2), ((2, 5, 5, 5),)),
    "unbatched conv transpose 2d": Kind(lambda: nn.ConvTranspose2d(3, 5, 3), ((3, 6, 6),), units=1),
    "weight turned": Kind(lambda: Turned(7, 5), ((30, 7),), units=1),
    "square weight turned": Kind(lambda: Turned(6, 6), ((4, 6, 6),), units=1),
    "weight turned, four times as wide": Kind(lambda: Turned(6, 24), ((5, 3, 6),), units=1),
    "a class of its own": Kind(lambda: Quieter(5, 4), ((30, 5),)),
    "units on axis 1": Kind(ChannelsFirst, ((5, 4, 6),), channel=1),
    "lazy linear": Kind(lazy, ((30, 5),)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_layer_is_initialized(name, layout):
    kind = KINDS[name]
    module = kind.build()
    if layout != "plain":
        WRAPS[layout](module)
    found = normcli.initialize(module, kind.batch())
    assert [each.name for each in found.layers] == ["weight"]
    rows = kind.rows(module, kind.batch())
    assert (found.layers[0].units, found.layers[0].count) == rows.shape
    assert_standard(rows)
    fresh = kind.build()
    if layout != "plain":
        WRAPS[layout](fresh)
    fresh.load_state_dict(module.state_dict(), strict=True)
    np.testing.assert_array_equal(kind.rows(fresh, kind.batch()), rows)


@pytest.mark.parametrize("name", KINDS)
def test_a_plain_layer_computes_the_standardized_output(name):
    kind = KINDS[name]
    module = kind.build()
    before = kind.rows(module, kind.batch())
    normcli.initialize(module, kind.batch())
    mean, std = before.mean(axis=1, keepdims=True), before.std(axis=1, keepdims=True)
    expected = (before - mean) / std
    np.testing.assert_allclose(kind.rows(module, kind.batch()), expected, rtol=0, atol=1e-4)


DIMS = [
    (name, layout, dim)
    for name, kind in KINDS.items()
    for layout in WRAPS
    for dim in (0, 1, 2, None, -1, -2)
    if kind.build().weight.ndim > (dim or 0) and name != "lazy linear"
]


@pytest.mark.parametrize(("name", "layout", "dim"), DIMS)
def test_every_axis_of_weight_norm_is_kept(name, layout, dim):
    kind = KINDS[name]
    module, plain = WRAPS[layout](kind.build(), "weight", dim), kind.build()
    shapes = {key: value.shape for key, value in module.state_dict().items()}
    normcli.initialize(module, kind.batch())
    normcli.initialize(plain, kind.batch())
    assert {key: value.shape for key, value in module.state_dict().items()} == shapes
    fresh = WRAPS[layout](kind.build(), "weight", dim)
    fresh.load_state_dict(module.state_dict(), strict=True)
    rows = kind.rows(fresh, kind.batch())
    assert_standard(rows)
    np.testing.assert_allclose(rows, kind.rows(plain, kind.batch()), rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "dim"),
    [("linear", 0), ("conv2d", 0), ("grouped conv2d", 0), ("conv transpose 2d", 1),
     ("square conv transpose 2d", 1), ("bilinear", 0), ("weight turned", 1), ("conv1d", -3),
     ("linear", -2)],
)  # fmt: skip
@pytest.mark.parametrize("layout", WRAPS)
def test_on_the_axis_of_the_units_v_stays_and_g_is_divided(name, dim, layout):
    kind = KINDS[name]
    module = WRAPS[layout](kind.build(), "weight", dim)
    g, v = (key for key in module.state_dict() if key != "bias")
    with torch.no_grad():
        module.get_parameter(g).mul_(-3)  # a negative g is legal
    before = copied(module)
    std = kind.rows(module, kind.batch()).std(axis=1)
    normcli.initialize(module, kind.batch())
    after = module.state_dict()
    assert torch.equal(after[v], before[v])
    expected = before[g].double().numpy().reshape(-1) / std
    np.testing.assert_allclose(after[g].double().numpy().reshape(-1), expected, rtol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", ["linear", "conv2d", "conv transpose 2d", "grouped conv2d"])
def test_every_dtype_reaches_what_it_can_hold(name, dtype, layout):
    kind = KINDS[name]
    module = kind.build().to(dtype)
    if layout != "plain":
        WRAPS[layout](module)
    found = normcli.initialize(module, kind.batch(dtype))
    assert {tensor.dtype for tensor in module.state_dict().values()} == {dtype}
    # bias and g are rounded once (half a unit in the last place of numbers around 1), and so is
    # each output; what comes of a few hundred outputs of a unit averages out
    room = 2 * torch.finfo(dtype).eps if dtype != torch.float64 else 1e-12
    assert_standard(kind.rows(module, kind.batch(dtype)), mean=room, std=room)
    assert found.layers[0].notes == ()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["conv2d", "conv transpose 2d"])
def test_channels_last_stays_channels_last(name, layout):
    kind = KINDS[name]
    module = kind.build().to(memory_format=torch.channels_last)
    if layout != "plain":
        WRAPS[layout](module)
    (batch,) = kind.batch()
    strides = {key: value.stride() for key, value in module.state_dict().items()}
    normcli.initialize(module, batch.to(memory_format=torch.channels_last))
    assert {key: value.stride() for key, value in module.state_dict().items()} == strides
    assert_standard(kind.rows(module, (batch.to(memory_format=torch.channels_last),)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_kind_is_the_class_that_the_user_wrote(layout):
    module = KINDS["a class of its own"].build()
    if layout != "plain":
        WRAPS[layout](module)
    found = normcli.initialize(module, KINDS["a class of its own"].batch())
    assert found.layers[0].kind == "Quieter"


def test_a_weight_of_autocast_is_looked_at_anew():
    module, (batch,) = KINDS["linear"].build(), KINDS["linear"].batch()

    class Cast(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module

        @torch.autocast("cpu", dtype=torch.bfloat16)
        def forward(self, x):
            return self.inner(x)

    model = Cast()
    assert not normcli.initialize(model, batch).left
    rows = by_unit(module, model(batch))
    room = 2 * torch.finfo(torch.bfloat16).eps
    assert_standard(rows, mean=room, std=room)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_under_autocast_of_the_caller_all_layers_are_initialized(layout):
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5))
    if layout != "plain":
        WRAPS[layout](model[0])
        WRAPS[layout](model[2])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = normcli.initialize(model, drawn(64, 6))
    assert len(found.layers) == 2
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        rows = by_unit(model[2], model(drawn(64, 6)))
    assert_standard(rows, mean=2**-6, std=2**-6)
