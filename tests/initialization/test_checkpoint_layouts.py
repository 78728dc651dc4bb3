"""A checkpoint of every form, initialized in every layout, as torch's own modules load it."""

from __future__ import annotations

import json
from itertools import product

import pytest
import torch
from initialized_nets import (
    NETS,
    PUT_ON,
    assert_standard,
    batch_of,
    drawn,
    initialized,
    layers,
    outputs,
    under,
)
from torch import nn

torch.set_num_threads(1)

# (form, dim) of the checkpoint, of the model
PAIRS = {
    "plain": (("plain", 0), ("plain", 0)),
    "legacy": (("legacy", 0), ("legacy", 0)),
    "parametrized": (("parametrized", 0), ("parametrized", 0)),
    "legacy, one norm": (("legacy", None), ("legacy", None)),
    "parametrized, one norm": (("parametrized", None), ("parametrized", None)),
    "plain in legacy": (("plain", 0), ("legacy", 0)),
    "plain in parametrized, dim 1": (("plain", 0), ("parametrized", 1)),
    "legacy in plain": (("legacy", 0), ("plain", 0)),
    "parametrized in plain": (("parametrized", 0), ("plain", 0)),
    "legacy in parametrized, one norm": (("legacy", 0), ("parametrized", None)),
}
LAYOUTS = (None, "legacy", "parametrized", "plain")
SUFFIXES = (".pt", ".safetensors")


def _stored_dim(pair, layout):
    """Of weight norm in the output: as the file has it, or as the model does."""
    (_, dim), (own, own_dim) = pair
    if layout is None or own == "plain":
        return dim
    return own_dim


def _order(path):
    """Keys as the file has them."""
    if path.suffix != ".safetensors":
        return list(torch.load(path))
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return [key for key in header if key != "__metadata__"]


def _described(state):
    return {key: (tuple(tensor.shape), tensor.dtype) for key, tensor in state.items()}


def _fresh(name, form, dim):
    return under(NETS[name][0](), form, dim)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("name", "case"), list(product(NETS, PAIRS)))
def test_every_layout_loads_strictly_and_gives_mean_0_and_deviation_1(name, case, suffix, tmp_path):
    pair = PAIRS[case]
    source, batch = drawn(name, *pair[0]), batch_of(name)
    results = []
    for layout in LAYOUTS:
        model = drawn(name, *pair[1], seed=3)
        told, state = initialized(
            tmp_path,
            source.state_dict(),
            model,
            batch,
            suffix=suffix,
            output=f"out-{layout}",
            layout=layout,
        )
        form = pair[0][0] if layout is None else layout
        net = _fresh(name, form, _stored_dim(pair, layout))
        assert _described(state) == _described(net.state_dict())
        if suffix == ".pt":
            assert dict(state._metadata) == dict(net.state_dict()._metadata)
        net.load_state_dict(state, strict=True)
        results.append(assert_standard(net, batch))
        assert {step.name for step in told.steps} == {f"{path}.weight" for path in layers(net)}
        assert told.left == ()
    for result in results[1:]:
        assert (result - results[0]).abs().max() <= 1e-5


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("name", "case"), list(product(NETS, PAIRS)))
def test_by_default_nothing_but_weights_and_biases_changes(name, case, suffix, tmp_path):
    pair = PAIRS[case]
    before = drawn(name, *pair[0]).state_dict()
    _, after = initialized(
        tmp_path, before, drawn(name, *pair[1], seed=3), batch_of(name), suffix=suffix
    )
    assert _order(tmp_path / f"out{suffix}") == _order(tmp_path / f"in{suffix}")
    assert _described(after) == _described(before)
    if suffix == ".pt":
        assert after._metadata == before._metadata
    net = _fresh(name, *pair[0])
    changing = tuple(f"{path}." for path in layers(net))
    for key, tensor in before.items():
        changed = key.startswith(changing) and not (_is_v(key) and _keeps_v(pair, key, net))
        assert torch.equal(after[key], tensor) != changed, key


def _keeps_v(pair, key, net):
    """Whether g has the axis of the units."""
    path = key.removesuffix(".weight_v").removesuffix(".parametrizations.weight.original1")
    return pair[0][1] == 0 and not isinstance(layers(net)[path], nn.ConvTranspose2d)


def _is_v(key):
    return key.endswith(("weight_v", "original1"))


@pytest.mark.parametrize("name", ["mlp", "convnet", "residual"])
@pytest.mark.parametrize("layout", [None, "legacy", "parametrized"])
@pytest.mark.parametrize("form", ["legacy", "parametrized"])
def test_v_stays_bit_for_bit_where_g_has_the_axis_of_the_units(name, layout, form, tmp_path):
    before = drawn(name, form).state_dict()
    _, after = initialized(
        tmp_path, before, drawn(name, form, seed=3), batch_of(name), layout=layout
    )
    old = [tensor for key, tensor in before.items() if _is_v(key)]
    new = [tensor for key, tensor in after.items() if _is_v(key)]
    assert len(old) == len(new) == len(layers(NETS[name][0]()))
    assert all(torch.equal(one, other) for one, other in zip(old, new, strict=True))


LAYERS = {
    "transposed convolution": (lambda: nn.ConvTranspose1d(4, 6, 4, stride=2), (32, 4, 7)),
    "square transposed convolution": (lambda: nn.ConvTranspose2d(5, 5, 3), (16, 5, 4, 4)),
    "transposed convolution of two groups": (
        lambda: nn.ConvTranspose1d(4, 6, 4, stride=2, groups=2),
        (32, 4, 7),
    ),
    "convolution of positions": (lambda: nn.Conv1d(8, 8, 16, padding=8, groups=2), (8, 8, 20)),
    "linear": (lambda: nn.Linear(5, 5), (32, 5)),
}


AXES = [
    (kind, dim)
    for kind, dim in product(LAYERS, (0, 1, 2, -1, None))
    if (kind, dim) != ("linear", 2)
]


@pytest.mark.parametrize("form", ["legacy", "parametrized"])
@pytest.mark.parametrize(("kind", "dim"), AXES)
def test_g_stays_on_its_axis_wherever_the_units_are(kind, form, dim, tmp_path):
    build, shape = LAYERS[kind]
    torch.manual_seed(5)
    batch = torch.randn(shape)
    source = PUT_ON[form](build(), dim)
    _, state = initialized(tmp_path, source.state_dict(), PUT_ON[form](build(), dim), batch)
    assert _described(state) == _described(source.state_dict())
    net = PUT_ON[form](build(), dim)
    net.load_state_dict(state, strict=True)
    assert_standard(net, batch)


def test_v_of_a_transposed_convolution_stays_where_g_has_the_units(tmp_path):
    build, shape = LAYERS["transposed convolution"]
    for dim, stays in ((0, False), (1, True)):
        source = PUT_ON["legacy"](build(), dim)
        _, state = initialized(
            tmp_path,
            source.state_dict(),
            PUT_ON["legacy"](build(), dim),
            torch.randn(shape),
            output=f"out{dim}",
        )
        assert torch.equal(state["weight_v"], source.weight_v) == stays


@pytest.mark.parametrize("form", ["legacy", "parametrized"])
@pytest.mark.parametrize("dim", [0, 1, 2, -1, None])
def test_the_axis_of_a_new_norm_is_the_one_that_is_said(dim, form, tmp_path):
    build, shape = LAYERS["convolution of positions"]
    batch = torch.randn(shape)
    _, state = initialized(
        tmp_path, build().state_dict(), build(), batch, layout=form, dims={"w*": dim}
    )
    said = 2 if dim == -1 else dim  # to torch -1 is one norm over the whole tensor
    net = PUT_ON[form](build(), said)
    net.load_state_dict(state, strict=True)
    assert_standard(net, batch)


def test_a_said_axis_wins_over_that_of_the_model(tmp_path):
    build, shape = LAYERS["convolution of positions"]
    batch = torch.randn(shape)
    model = PUT_ON["parametrized"](build(), 0)
    source = build()
    _, state = initialized(
        tmp_path, source.state_dict(), model, batch, layout="legacy", dims={"weight": 2}
    )
    net = PUT_ON["legacy"](build(), 2)
    net.load_state_dict(state, strict=True)
    assert_standard(net, batch)


@pytest.mark.parametrize("name", NETS)
def test_an_initialized_checkpoint_computes_what_the_normalized_outputs_are(name, tmp_path):
    """Of the first layer that is (t − μ)/σ, t from the checkpoint as it was."""
    source, batch = drawn(name, "legacy"), batch_of(name)
    first = next(iter(layers(source)))
    before = outputs(source, batch)[0][first]
    _, state = initialized(tmp_path, source.state_dict(), drawn(name, "legacy", seed=3), batch)
    source.load_state_dict(state)
    after = outputs(source, batch)[0][first]
    mean, std = before.mean(1, keepdim=True), before.std(1, unbiased=False, keepdim=True)
    assert (after - (before - mean) / std).abs().max() <= 1e-5
