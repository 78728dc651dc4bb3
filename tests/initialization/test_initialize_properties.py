"""Whatever stack of layers: every unit has mean 0 and deviation 1, by NumPy."""

from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from initialize_models import LAYOUTS, WRAPS, assert_standard, drawn, outputs
from torch import nn

import normcli
from normcli.errors import NormcliError

torch.set_num_threads(1)

_SIZES = st.integers(1, 9)
_ACTIVATIONS = st.sampled_from([nn.ReLU, nn.Tanh, nn.GELU, nn.LeakyReLU, nn.Identity])


@st.composite
def linear_stacks(draw):
    """(model, shape of its batch, its layers)."""
    sizes = draw(st.lists(_SIZES, min_size=2, max_size=5))
    modules = []
    for inputs, units in pairwise(sizes):
        modules += [nn.Linear(inputs, units), draw(_ACTIVATIONS)()]
    places = draw(st.lists(st.integers(1, 4), max_size=2))
    return nn.Sequential(*modules), (60, *places, sizes[0])


@st.composite
def conv_stacks(draw):
    """(model, shape of its batch): convolutions of 1 to 3 axes, transposed ones between them."""
    axes = draw(st.integers(1, 3))
    straight = [nn.Conv1d, nn.Conv2d, nn.Conv3d][axes - 1]
    transposed = [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d][axes - 1]
    channels, modules = draw(st.integers(1, 3)), []
    shape = (6, channels, *[5] * axes)
    for _ in range(draw(st.integers(1, 3))):
        groups = draw(st.sampled_from([1, channels]))
        units = groups * draw(st.integers(1, 3))
        options = {"groups": groups, "stride": draw(st.integers(1, 2)), "padding": 1}
        make = draw(st.sampled_from([straight, transposed]))
        kernel = draw(st.integers(2 if make is straight else 3, 3))
        modules += [make(channels, units, kernel, **options), draw(_ACTIVATIONS)()]
        channels = units
    return nn.Sequential(*modules), shape


def assert_law(stack, layout, dim, number):
    """What was initialized is standard, and only what one can understand was left."""
    model, shape = stack
    torch.manual_seed(number)
    layers = [path for path, module in model.named_children() if hasattr(module, "bias")]
    for path in layers:
        with torch.no_grad():  # built while Hypothesis draws: the numbers are to be ours
            for parameter in model.get_submodule(path).parameters():
                parameter.normal_()
        if layout != "plain":
            WRAPS[layout](model.get_submodule(path), "weight", dim)
    batch = drawn(*shape, seed=number)
    try:
        found = normcli.initialize(model, batch)
    except NormcliError as error:
        assert "do not vary over the batch" in str(error)  # noqa: PT017 - all were left
        return
    assert all("do not vary over the batch" in each.reason for each in found.left)
    left = {each.name for each in found.left}
    seen = outputs(model.eval(), batch, layers)
    for path in layers:
        if f"{path}.weight" not in left:
            noted = any(each.notes for each in found.layers if each.name == f"{path}.weight")
            assert_standard(seen[path], **({"mean": 1e-2, "std": 1e-2} if noted else {}))
        else:
            assert (seen[path].std(axis=1) < 1e-5).any()


@seed(20160225)
@settings(max_examples=40, deadline=None)
@given(linear_stacks(), st.sampled_from(LAYOUTS), st.sampled_from([0, 1, None]), st.integers(0, 99))
def test_stacks_of_linear_layers_have_mean_0_and_deviation_1(stack, layout, dim, number):
    assert_law(stack, layout, dim, number)


@seed(20160225)
@settings(max_examples=40, deadline=None)
@given(conv_stacks(), st.sampled_from(LAYOUTS), st.sampled_from([0, 1, 2, None]), st.integers(0, 9))
def test_stacks_of_convolutions_have_mean_0_and_deviation_1(stack, layout, dim, number):
    assert_law(stack, layout, dim, number)
