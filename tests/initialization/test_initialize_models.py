"""Whole models: every layer has mean 0 and deviation 1, by torch's modules and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from initialize_models import (
    LAYOUTS,
    NETS,
    assert_standard,
    copied,
    drawn,
    normed,
    outputs,
    respelled,
)
from torch import nn

import normcli

torch.set_num_threads(1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NETS)
def test_every_unit_of_every_layer_has_mean_0_and_deviation_1(name, layout):
    net = NETS[name]
    model, batch = net.build(layout), net.batch()
    found = normcli.initialize(model, batch)
    assert not found.left
    fresh = normed(net.make(), net.layers, layout).eval()
    fresh.load_state_dict(model.state_dict(), strict=True)
    seen = outputs(fresh, batch, net.layers)
    for path in net.layers:
        assert_standard(seen[path])


@pytest.mark.parametrize("layout", ["legacy", "parametrized"])
@pytest.mark.parametrize("name", NETS)
def test_a_plain_model_spelled_under_weight_norm_has_mean_0_and_deviation_1(name, layout):
    net = NETS[name]
    model, batch = net.build(), net.batch()
    normcli.initialize(model, batch)
    fresh = normed(net.make(), net.layers, layout).eval()
    fresh.load_state_dict(respelled(model.state_dict(), net.layers, layout), strict=True)
    seen = outputs(fresh, batch, net.layers)
    for path in net.layers:
        assert_standard(seen[path])


@pytest.mark.parametrize("name", NETS)
def test_every_layout_ends_with_the_same_function(name):
    net = NETS[name]
    ends = []
    for layout in LAYOUTS:
        model = net.build(layout)
        normcli.initialize(model, net.batch())
        ends.append(outputs(model.eval(), drawn(*net.shape, seed=5), ())[""])
    for end in ends[1:]:
        np.testing.assert_allclose(end, ends[0], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_mlp_gets_the_weights_of_the_algorithm_of_the_paper(layout):
    net = NETS["mlp"]
    flow = net.batch().double().numpy()
    plain, model = net.build().double(), net.build(layout).double()
    normcli.initialize(model, net.batch().double())
    state = {key: value.numpy() for key, value in plain.state_dict().items()}
    for path in net.layers:
        weight, bias = state[f"{path}.weight"], state[f"{path}.bias"]
        output = flow @ weight.T + bias
        mean, std = output.mean(axis=0), output.std(axis=0)
        weight, bias = weight / std[:, None], (bias - mean) / std
        module = model.get_submodule(path)
        module(torch.zeros(1, weight.shape[1], dtype=torch.float64))  # a legacy weight is made here
        np.testing.assert_allclose(module.weight.detach().numpy(), weight, rtol=0, atol=1e-6)
        np.testing.assert_allclose(module.bias.detach().numpy(), bias, rtol=0, atol=1e-6)
        flow = np.maximum(flow @ weight.T + bias, 0)


def test_a_float32_mlp_gets_the_weights_of_the_paper_to_1e_6():
    net = NETS["mlp"]
    flow = net.batch().double().numpy()
    state = {key: value.double().numpy() for key, value in copied(net.build()).items()}
    model = net.build()
    normcli.initialize(model, net.batch())
    for path in net.layers:
        output = flow @ state[f"{path}.weight"].T + state[f"{path}.bias"]
        mean, std = output.mean(axis=0), output.std(axis=0)
        weight = state[f"{path}.weight"] / std[:, None]
        bias = (state[f"{path}.bias"] - mean) / std
        module = model.get_submodule(path)
        np.testing.assert_allclose(module.weight.detach().numpy(), weight, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(module.bias.detach().numpy(), bias, rtol=1e-6, atol=1e-6)
        flow = np.maximum((output - mean) / std, 0)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NETS)
def test_layers_are_told_of_as_they_run_with_moments_before_and_after(name, layout):
    net = NETS[name]
    model, batch = net.build(layout), net.batch()
    shapes = {path: tuple(net.build().get_submodule(path).weight.shape) for path in net.layers}
    kinds = {path: type(net.build().get_submodule(path)).__name__ for path in net.layers}
    before = outputs(model.eval(), batch, net.layers)
    found = normcli.initialize(model, batch)
    after = outputs(model.eval(), batch, net.layers)
    assert [each.name for each in found.layers] == [f"{path}.weight" for path in net.layers]
    for each, path in zip(found.layers, net.layers, strict=True):
        assert (each.kind, each.shape, each.notes) == (kinds[path], shapes[path], ())
        assert (each.units, each.count) == before[path].shape
        for told, rows in ((each.before, before[path]), (each.after, after[path])):
            assert_told(told.mean, rows.mean(axis=1))
            assert_told(told.std, rows.std(axis=1))


def assert_told(spread, values):
    """Lowest and highest of all units, as NumPy finds them."""
    found = [spread.lowest, spread.highest]
    np.testing.assert_allclose(found, [values.min(), values.max()], rtol=1e-9, atol=1e-12)


def test_a_second_time_changes_nothing_but_rounding():
    net = NETS["convnet"]
    model = net.build()
    normcli.initialize(model, net.batch())
    once = copied(model)
    normcli.initialize(model, net.batch())
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, once[key], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_scale_of_the_weights_before_does_not_matter(layout, scale):
    net = NETS["mlp"]
    model = net.build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    normed(model, net.layers, layout)
    normcli.initialize(model, net.batch())
    plain = net.build()
    normcli.initialize(plain, net.batch())
    ends = [outputs(each.eval(), net.batch(), net.layers) for each in (model, plain)]
    for path in net.layers:
        assert_standard(ends[0][path])
        np.testing.assert_allclose(ends[0][path], ends[1][path], rtol=1e-4, atol=1e-4)


def test_inputs_that_vary_little_beside_their_mean_are_told_of():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 8))
    found = normcli.initialize(model, 10 + 1e-3 * drawn(40, 30))
    (layer,) = found.layers
    (note,) = layer.notes
    assert "its inputs vary little" in note
    worst = max(abs(layer.after.std.lowest - 1), abs(layer.after.std.highest - 1))
    mean = max(-layer.after.mean.lowest, layer.after.mean.highest)
    assert f"|mean| up to {mean:.2g}, |std − 1| up to {worst:.2g}" in note
    assert mean < 0.01
    assert worst < 0.01


@pytest.mark.parametrize(
    ("dtype", "mean"),
    [(torch.float32, 30), (torch.float32, 1000), (torch.float16, 3), (torch.bfloat16, 1)],
)
def test_what_rounding_leaves_is_corrected_and_never_for_the_worse(dtype, mean):
    better = 0
    for number in range(12):
        torch.manual_seed(number)
        module, rounded = nn.Linear(40, 30).to(dtype), nn.Linear(40, 30).to(dtype)
        rounded.load_state_dict(module.state_dict())
        batch = (torch.randn(60, 40) + mean).to(dtype)
        scale_once(rounded, batch)
        normcli.initialize(module, batch)
        found, once = (error(each, batch) for each in (module, rounded))
        assert found <= once
        better += found < once
    assert better


def scale_once(module, batch):
    """W/σ and (b − μ)/σ of NumPy in float64, rounded to what the module holds."""
    output = outputs(module, batch, ())[""]
    mean, std = output.mean(axis=0), output.std(axis=0)
    weight, bias = (each.detach().double().numpy() for each in (module.weight, module.bias))
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(weight / std[:, None]))
        module.bias.copy_(torch.from_numpy((bias - mean) / std))


def error(module, batch):
    """How far mean and deviation are from 0 and 1."""
    output = outputs(module, batch, ())[""]
    return max(np.abs(output.mean(axis=0)).max(), np.abs(output.std(axis=0) - 1).max())


def test_an_output_too_large_for_one_panel_is_seen_whole():
    torch.manual_seed(0)
    module = nn.Linear(4, 90)
    batch = drawn(100_000, 4) * torch.linspace(0.5, 2, 100_000)[:, None]  # 9 million entries
    before = outputs(module, batch, ())[""]
    (layer,) = normcli.initialize(module, batch).layers
    after = outputs(module, batch, ())[""]
    assert_told(layer.before.mean, before.mean(axis=0))
    assert_told(layer.before.std, before.std(axis=0))
    assert_standard(after.T)
    np.testing.assert_allclose(
        after, (before - before.mean(axis=0)) / before.std(axis=0), rtol=0, atol=1e-5
    )


def test_a_nonlinear_unit_is_found_in_every_panel():
    class Bent(nn.Linear):
        def forward(self, x):
            output = super().forward(x)
            output[:, self.unit] = output[:, self.unit].relu()
            return output

    for unit in (0, 50, 89):
        torch.manual_seed(0)
        model = nn.Sequential(Bent(4, 90), nn.Linear(90, 2))
        model[0].unit = unit
        found = normcli.initialize(model, drawn(100_000, 4))
        assert [each.name for each in found.left] == ["0.weight"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_transformer_in_evaluation_mode_does_not_take_its_fast_path(layout):
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True).eval()
    layers = ("linear1", "linear2")
    normed(model, layers, layout)
    found = normcli.initialize(model, drawn(5, 7, 6))
    assert [each.name for each in found.layers] == ["linear1.weight", "linear2.weight"]
    seen = outputs(model, drawn(5, 7, 6), layers)
    for path in layers:
        assert_standard(seen[path])
