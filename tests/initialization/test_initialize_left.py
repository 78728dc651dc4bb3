"""What is no layer W·x + b, or cannot be scaled, is left bit for bit and told of."""

from __future__ import annotations

import pytest
import torch
from initialize_models import WRAPS, assert_same_bits, assert_standard, copied, drawn, outputs
from initialize_unfit import LEFT, Before, Relu, Standardized
from torch import nn

import normcli
from normcli.errors import UsageError

torch.set_num_threads(1)

BATCH = drawn(40, 6)


@pytest.mark.parametrize("name", LEFT)
def test_what_cannot_be_initialized_is_left_bit_for_bit_and_told_of(name):
    make, keys, reason = LEFT[name]
    torch.manual_seed(4)
    model = Before(make(), 6)
    batch = drawn(2, 30, 6)
    with torch.no_grad():
        expected = copied(model.module.eval())
    if "NaN" in name or "infinity" in name:
        return assert_nothing_to_initialize(model, batch, reason)
    found = normcli.initialize(model, batch)
    assert [each.name for each in found.left] == [f"module.{key}" for key in keys]
    assert reason in found.left[0].reason
    assert_same_bits(model.module, expected)
    assert [each.name for each in found.layers] == ["last.weight"]
    if name != "noise inside":
        assert_standard(outputs(model.eval(), batch, ["last"])["last"])
    return None


def assert_nothing_to_initialize(model, batch, reason):
    """An error that tells of the first weight, and all is as it was."""
    before = copied(model)
    with pytest.raises(UsageError, match="nothing to initialize") as caught:
        normcli.initialize(model, batch)
    assert reason in str(caught.value)
    assert_same_bits(model, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("layout", [None, *WRAPS])
def test_a_relu_inside_is_seen_in_every_dtype(dtype, layout):
    torch.manual_seed(1)
    module = Relu(16, 12).to(dtype)
    if layout:
        WRAPS[layout](module)
    assert_nothing_to_initialize(module, drawn(200, 16).to(dtype), "its output is not W·x + b")


def test_a_weight_that_the_layer_standardizes_is_left():
    torch.manual_seed(1)
    module = Standardized(4, 5, 3)
    assert_nothing_to_initialize(module, drawn(6, 4, 20), "its output is not W·x + b")


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        (torch.zeros(20, 6), "5 of 5 units do not vary over the batch"),
        (drawn(1, 6).repeat(33, 1), "5 of 5 units do not vary over the batch"),
        (drawn(1, 6), "5 of 5 units do not vary over the batch: it gives each one value"),
        (drawn(6), "5 of 5 units do not vary over the batch: it gives each one value"),
        (torch.full((20, 6), torch.nan), "its output holds NaN or infinite entries"),
        (torch.full((20, 6), torch.inf), "its output holds NaN or infinite entries"),
        (torch.zeros(0, 6), "its output has no entries"),
        (torch.zeros(2, 0, 6), "its output has no entries"),
    ],
)
@pytest.mark.parametrize("layout", [None, *WRAPS])
def test_a_batch_that_says_nothing_of_the_layer_is_an_error(batch, reason, layout):
    torch.manual_seed(1)
    module = nn.Linear(6, 5)
    if layout:
        WRAPS[layout](module)
    assert_nothing_to_initialize(module, batch, reason)


def test_a_constant_image_still_varies_at_its_borders_only_where_it_is_padded():
    torch.manual_seed(1)
    image = torch.ones(3, 4, 8, 8)
    padded, bare = nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(4, 6, 3)
    assert normcli.initialize(padded, image).layers
    assert_nothing_to_initialize(bare, image, "6 of 6 units do not vary over the batch")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_varies_by_no_more_than_rounding_is_left(dtype):
    torch.manual_seed(1)
    module = nn.Linear(64, 16).to(dtype)
    with torch.no_grad():
        module.bias.add_(1)
    batch = torch.ones(50, 64).to(dtype)
    batch[::2] = torch.nextafter(batch[::2].float(), torch.tensor(2.0)).to(dtype)
    assert_nothing_to_initialize(module, batch, "units do not vary over the batch")


def test_a_layer_of_no_units_is_left():
    torch.manual_seed(1)
    with pytest.warns(UserWarning, match="zero-element"):
        empty = nn.Linear(6, 0)
    model = nn.ModuleDict({"empty": empty, "full": nn.Linear(6, 3)})
    model.forward = lambda x: (model["empty"](x), model["full"](x))
    found = normcli.initialize(model, drawn(20, 6))
    assert [(each.name, each.reason) for each in found.left] == [
        ("empty.weight", "its output has no entries")
    ]


@pytest.mark.parametrize(
    "compiled", [torch.jit.script, lambda model: torch.jit.trace(model, BATCH)]
)
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_layers_inside_torch_jit_cannot_be_seen(compiled):
    torch.manual_seed(1)
    inner = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5)).eval()
    reason = "compiled by torch.jit: its layers cannot be seen"
    assert_nothing_to_initialize(compiled(inner), BATCH, reason)
    found = normcli.initialize(nn.Sequential(compiled(inner), nn.Linear(5, 4)), BATCH)
    assert [(each.name, each.reason) for each in found.left] == [("0.0.weight", reason)]
    assert [each.name for each in found.layers] == ["1.weight"]


@pytest.mark.parametrize("layout", [None, *WRAPS])
def test_what_overflows_when_it_is_scaled_is_left(layout):
    torch.manual_seed(1)
    module = nn.Linear(6, 5)
    with torch.no_grad():
        module.weight.mul_(4)
        module.bias.zero_()
    module.half()
    if layout:
        WRAPS[layout](module)
    batch = (drawn(40, 6) * 1e-6).half()
    assert_nothing_to_initialize(module, batch, "it would hold NaN or infinite entries in float16")
