"""Only weights and biases change: not the batch, buffers, modes, hooks, nor random numbers."""

from __future__ import annotations

import random
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from initialize_models import (
    LAYOUTS,
    NETS,
    assert_standard,
    by_unit,
    copied,
    drawn,
    normed,
    outputs,
)
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrize import cached

import normcli
from normcli.errors import NormcliError

torch.set_num_threads(1)


class Regular(nn.Module):
    """Dropout and batch norm between two layers."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Linear(6, 8), nn.BatchNorm1d(8)
        self.drop, self.second = nn.Dropout(0.4), nn.Linear(8, 5)

    def forward(self, x):
        return self.second(self.drop(functional.relu(self.norm(self.first(x)))))


def regular(layout="plain"):
    torch.manual_seed(6)
    model = normed(Regular(), ("first", "second"), layout)
    model(drawn(30, 6, seed=1))  # the statistics are not those of a new batch norm
    return model


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("training", [False, True])
def test_buffers_and_modes_are_as_they_were(layout, training):
    model = regular(layout)
    model.norm.eval()
    buffers = {name: (each, each.clone()) for name, each in model.named_buffers()}
    modes = {name: each.training for name, each in model.named_modules()}
    normcli.initialize(model, drawn(40, 6), training=training)
    assert {name: each.training for name, each in model.named_modules()} == modes
    for name, each in model.named_buffers():
        assert each is buffers[name][0]
        assert torch.equal(each, buffers[name][1])


@pytest.mark.parametrize("mode", [False, True])
def test_evaluation_mode_is_what_the_layers_are_initialized_in(mode):
    model = regular().train(mode)
    normcli.initialize(model, drawn(40, 6))
    assert model.training is mode
    seen = outputs(model.eval(), drawn(40, 6), ("first", "second"))
    assert_standard(seen["first"])
    assert_standard(seen["second"])


def test_in_training_mode_the_layers_see_dropout_and_the_statistics_of_the_batch():
    model = regular()
    normcli.initialize(model, drawn(40, 6), training=True, seed=9)
    torch.manual_seed(9)
    seen = outputs(model.train(), drawn(40, 6), ("first", "second"))
    assert_standard(seen["first"])
    assert_standard(seen["second"])


def test_the_same_seed_gives_the_same_weights_and_another_one_others():
    states = []
    for seed in (0, 0, 1):
        model = regular()
        torch.manual_seed(100 + len(states))
        normcli.initialize(model, drawn(40, 6), training=True, seed=seed)
        states.append(copied(model))
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not torch.equal(states[0]["second.weight"], states[2]["second.weight"])


class Drawing(nn.Module):
    """Takes its numbers from Python, numpy and torch."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 5)

    def forward(self, x):
        if random.random() < 2:
            x = x * np.random.rand() + torch.rand(1)  # noqa: NPY002 - as models do
        return self.inner(x)


@pytest.mark.parametrize("seed", [0, 2**40, -3])
@pytest.mark.parametrize("fails", [False, True])
def test_the_random_numbers_of_the_caller_go_on_where_they_were(fails, seed):
    torch.manual_seed(6)
    model, batch = Drawing(), drawn(40, 5 if fails else 6)
    np.random.seed(1)  # noqa: NPY002 - the state that is watched
    before = torch.get_rng_state(), random.getstate(), str(np.random.get_state())  # noqa: NPY002
    try:
        found = normcli.initialize(model, batch, seed=seed)
    except NormcliError:
        assert fails
    else:
        assert found.layers[0].notes == ()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), str(np.random.get_state())) == before[1:]  # noqa: NPY002


class Buffered(nn.Module):
    """Replaces a buffer, adds one, writes to another's data, and has one that is expanded."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 5)
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("average", torch.full((5,), torch.nan))
        self.register_buffer("places", torch.arange(5).expand(3, -1))

    def forward(self, x):
        self.count = self.count + 1
        flow = self.inner(x)
        self.average.data.copy_(flow.mean(dim=0))
        self.register_buffer("extra", torch.ones(2))
        return flow


def test_buffers_that_forward_replaces_or_adds_are_as_they_were():
    torch.manual_seed(6)
    model = Buffered()
    before = dict(model.named_buffers())
    normcli.initialize(model, drawn(40, 6))
    after = dict(model.named_buffers())
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    assert model.count == 0
    assert model.average.isnan().all()


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_parameters_stay_the_same_objects_with_their_gradients(layout, frozen):
    model, batch = NETS["mlp"].build(layout), drawn(50, 7)
    if frozen:
        for parameter in model[2].parameters():
            parameter.requires_grad_(False)
    model(batch).sum().backward()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = {
        name: (each, each.requires_grad, each.grad) for name, each in model.named_parameters()
    }
    with torch.enable_grad():
        found = normcli.initialize(model, batch)
    assert len(found.layers) == 3
    for name, each in model.named_parameters():
        parameter, needed, grad = before[name]
        assert each is parameter
        assert (each.requires_grad, each.grad is grad) == (needed, True)
        assert each.is_leaf
        assert each.grad_fn is None
    model(batch).sum().backward()
    optimizer.step()
    assert {id(each) for each in optimizer.param_groups[0]["params"]} == {
        id(each) for each in model.parameters()
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_graph_is_kept_and_gradients_stay_enabled(layout):
    model, batch = NETS["mlp"].build(layout), drawn(50, 7).requires_grad_()
    seen = []
    model[4].register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with torch.enable_grad():
        normcli.initialize(model, batch)
        assert torch.is_grad_enabled()
    assert seen
    assert all(output.grad_fn is None and not output.requires_grad for output in seen)
    assert batch.grad is None
    assert model(batch).requires_grad


def test_it_works_under_inference_mode():
    model = NETS["mlp"].build("parametrized")
    with torch.inference_mode():
        normcli.initialize(model, drawn(50, 7))
    for path in ("0", "2", "4"):
        assert_standard(outputs(model, drawn(50, 7), [path])[path])
    model(drawn(50, 7)).sum().backward()


def test_hooks_of_the_user_run_and_stay_where_they_were():
    torch.manual_seed(6)
    model, told = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4)), []
    model[0].register_forward_pre_hook(lambda _module, inputs: (2 * inputs[0] + 1,))
    model[0].register_forward_hook(lambda *_: told.append("first"))
    model[2].register_forward_hook(lambda _module, _inputs, output: output.clone())
    before = [(list(each._forward_hooks), list(each._forward_pre_hooks)) for each in model]
    found = normcli.initialize(model, drawn(40, 6))
    assert not found.left
    assert told
    after = [(list(each._forward_hooks), list(each._forward_pre_hooks)) for each in model]
    assert after == before
    assert_standard(outputs(model, drawn(40, 6), ["2"])["2"])
    assert_standard(by_unit(model[0], model[0](drawn(40, 6))))


def test_a_hook_of_the_user_that_bends_the_output_leaves_the_layer():
    torch.manual_seed(6)
    model = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))
    model[0].register_forward_hook(lambda _module, _inputs, output: output.relu())
    found = normcli.initialize(model, drawn(40, 6))
    assert [each.name for each in found.left] == ["0.weight"]


class Adding(nn.Linear):
    """Works in place on its input."""

    def forward(self, x):
        return super().forward(x.add_(1))


class Skipping(nn.Module):
    """Hands its input around the layer that changes it."""

    def __init__(self):
        super().__init__()
        self.first, self.adding, self.last = nn.Linear(6, 5), Adding(5, 5), nn.Linear(5, 4)

    def forward(self, x):
        flow = self.first(x)
        return self.last(self.adding(flow) + flow)


def test_a_layer_that_works_in_place_on_its_input_does_so_once_a_pass():
    torch.manual_seed(6)
    model = Skipping()
    found = normcli.initialize(model, drawn(40, 6))
    assert not found.left
    seen = outputs(model, drawn(40, 6), ("adding", "last"))
    assert_standard(seen["adding"])
    assert_standard(seen["last"])


@pytest.mark.parametrize("inside", [False, True])
def test_weights_that_parametrize_caches_are_computed_anew(inside):
    class Cached(nn.Sequential):
        def forward(self, x):
            with cached():
                return super().forward(x)

    torch.manual_seed(6)
    model = (Cached if inside else nn.Sequential)(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
    normed(model, "02", "parametrized")
    with nullcontext() if inside else cached():
        found = normcli.initialize(model, drawn(40, 6))
    assert not found.left
    seen = outputs(model, drawn(40, 6), "02")
    assert_standard(seen["0"])
    assert_standard(seen["2"])
