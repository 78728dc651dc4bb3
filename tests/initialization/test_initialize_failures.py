"""Where the model fails, or runs otherwise each time, it is as it was, bit for bit."""

from __future__ import annotations

import pytest
import torch
from initialize_models import LAYOUTS, NETS, assert_same_bits, copied, drawn, normed
from torch import nn

import normcli
from normcli.errors import UsageError

torch.set_num_threads(1)


class Counting(nn.Module):
    """Two layers and a batch norm; what happens between them is up to the number of the pass."""

    def __init__(self, between):
        super().__init__()
        self.first, self.second = nn.Linear(6, 5), nn.Linear(5, 4)
        self.norm = nn.BatchNorm1d(5)
        self.between, self.passes = between, 0

    def forward(self, x):
        self.passes += 1
        flow = self.norm(self.first(x))
        return self.second(self.between(self, flow))


def counting(between, layout="plain"):
    torch.manual_seed(2)
    return normed(Counting(between), ("first", "second"), layout).train()


def assert_as_it_was(model, state):
    assert_same_bits(model, state)
    assert all(module.training for module in model.modules())
    assert all(not module._forward_hooks for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())


def failing_in(number, error=ValueError):
    def between(model, flow):
        if model.passes == number:
            raise error("no\n  more")
        return flow

    return between


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_model_that_fails_half_way_in_any_pass_is_as_it_was(number, layout, training):
    model = counting(failing_in(number), layout)
    before = copied(model)
    with pytest.raises(UsageError, match="ValueError: no more") as caught:
        normcli.initialize(model, drawn(40, 6), training=training)
    assert model.passes == number
    assert "the forward pass on input of shape (40, 6)" in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)
    assert_as_it_was(model, before)


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_interrupted_model_is_as_it_was(number, error):
    model = counting(failing_in(number, error))
    before = copied(model)
    with pytest.raises(error):
        normcli.initialize(model, drawn(40, 6))
    assert_as_it_was(model, before)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layer_that_fails_while_it_is_run_again_is_as_it_was(layout):
    class Fragile(nn.Linear):
        calls = 0

        def forward(self, x):
            self.calls += 1
            if self.calls == 3:  # once in the first pass, once in the second, then scaled
                raise ValueError("worn")
            return super().forward(x)

    torch.manual_seed(2)
    model = normed(nn.Sequential(nn.Linear(6, 5), Fragile(5, 4)), "01", layout)
    before = copied(model)
    with pytest.raises(UsageError, match="ValueError: worn"):
        normcli.initialize(model, drawn(40, 6))
    assert_same_bits(model, before)


def test_a_batch_of_the_wrong_shape_names_shape_and_layer():
    model = NETS["mlp"].build()
    before = copied(model)
    with pytest.raises(UsageError) as caught:
        normcli.initialize(model, drawn(40, 6))
    assert "the forward pass on input of shape (40, 6), in '0' (Linear), failed" in str(
        caught.value
    )
    assert_same_bits(model, before)


class Choosing(nn.Module):
    """Which layers run is up to the numbers."""

    def __init__(self, choose):
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.choose = choose
        with torch.no_grad():
            self.first.bias.fill_(5)  # the mean is far from 0 at first, and 0 afterwards

    def forward(self, x):
        flow = self.first(x)
        for _ in range(self.choose(float(flow.mean()) > 1)):
            flow = self.second(flow)
        return flow


@pytest.mark.parametrize(
    ("choose", "told"),
    [
        (lambda large: 1 if large else 2, "once before its layers were initialized, then 2 times"),
        (lambda large: 1 if large else 0, "once before its layers were initialized, then 0 times"),
        (lambda large: 2 if large else 1, "not once before its layers were initialized, then once"),
        (lambda large: 0 if large else 1, "not once before its layers were initialized, then once"),
    ],
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_way_through_the_model_that_depends_on_values_is_an_error(choose, told, layout):
    torch.manual_seed(2)
    model = normed(Choosing(choose), ("first", "second"), layout)
    before = copied(model)
    with pytest.raises(UsageError) as caught:
        normcli.initialize(model, drawn(40, 6))
    assert f"the model ran the layer of 'second.weight' {told}" in caught.value.message
    assert "--exclude 'second.weight'" in caught.value.hint
    assert_same_bits(model, before)


def test_without_the_layer_that_depends_on_values_the_others_are_initialized():
    torch.manual_seed(2)
    model = Choosing(lambda large: 1 if large else 0)
    found = normcli.initialize(model, drawn(40, 6), exclude=["second.*"])
    assert [each.name for each in found.layers] == ["first.weight"]


@pytest.mark.parametrize(
    "change",
    [
        lambda model, flow: flow if model.passes < 3 else flow[:0],
        lambda model, flow: flow if model.passes > 1 else flow[:0],
        lambda model, flow: flow if model.passes < 3 else flow.to(torch.complex64),
    ],
)
def test_an_output_of_another_kind_in_another_pass_is_an_error(change):
    class Kinds(nn.Linear):
        def forward(self, x):
            return change(model, super().forward(x))

    model = counting(lambda _model, flow: flow)
    torch.manual_seed(2)
    model.aside = Kinds(5, 4)
    model.between = lambda model, flow: (model.aside(flow), flow)[1]
    before = copied(model)
    with pytest.raises(UsageError, match=r"the layer of 'aside\.weight' gives another kind"):
        normcli.initialize(model, drawn(40, 6))
    assert_as_it_was(model, before)


def test_a_layer_that_runs_in_the_first_two_passes_alone_is_an_error():
    model = counting(lambda model, flow: flow if model.passes == 3 else model.aside(flow))
    model.aside = nn.Linear(5, 5)
    before = copied(model)
    with pytest.raises(UsageError, match=r"'aside\.weight' once before .* then 0 times"):
        normcli.initialize(model, drawn(40, 6))
    assert_same_bits(model, before)


def test_a_model_that_cannot_change_its_mode_is_told_of():
    class Fixed(nn.Linear):
        def train(self, mode=True):
            raise NotImplementedError("this model is for inference")

    with pytest.raises(UsageError, match="this model is for inference"):
        normcli.initialize(Fixed(6, 5), drawn(40, 6))
