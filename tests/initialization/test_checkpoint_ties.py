"""Weights that a model or a file has under two names."""

from __future__ import annotations

import pytest
import torch
from initialized_nets import are_equal, assert_standard, initialized, left, read
from safetensors.torch import load_model, save_file, save_model
from torch import nn

from normcli.commands.initialize_checkpoint import initialize_checkpoint

torch.set_num_threads(1)


class Tied(nn.Module):
    """An input and an output that may share a weight."""

    def __init__(self, *, tied):
        super().__init__()
        self.enter, self.leave, self.last = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 4)
        if tied:
            self.leave.weight = self.enter.weight

    def forward(self, x):
        return self.last(self.leave(torch.tanh(self.enter(x))))


def _tied(*, tied, seed=1):
    torch.manual_seed(seed)
    return Tied(tied=tied)


TIED = torch.linspace(0, 9, 32 * 5).cos().reshape(32, 5)


@pytest.mark.parametrize("in_file", [True, False])
def test_weights_that_the_model_shares_are_left(in_file, tmp_path):
    state = _tied(tied=True).state_dict()
    if not in_file:
        state = {key: tensor.clone() for key, tensor in state.items()}
    told, after = initialized(tmp_path, state, _tied(tied=True, seed=2), TIED)
    assert left(told) == {
        "enter.weight": "shared: it is 'leave.weight' as well",
        "leave.weight": "shared: it is 'enter.weight' as well",
    }
    assert are_equal(state, after, "enter", "leave")
    shares = after["enter.weight"].data_ptr() == after["leave.weight"].data_ptr()
    assert shares == in_file


def test_weights_that_only_the_file_shares_are_two_afterwards(tmp_path):
    state = _tied(tied=True).state_dict()
    told, after = initialized(tmp_path, state, _tied(tied=False, seed=2), TIED)
    assert told.left == ()
    assert after["enter.weight"].data_ptr() != after["leave.weight"].data_ptr()
    net = _tied(tied=False)
    net.load_state_dict(after, strict=True)
    assert_standard(net, TIED)


@pytest.mark.parametrize("tied", [True, False])
def test_a_weight_that_the_file_records_under_two_names_is_left(tied, tmp_path):
    """As `safetensors.torch.save_model` writes it."""
    save_model(_tied(tied=True), str(tmp_path / "in.safetensors"))
    save_file({"x": TIED}, tmp_path / "batch.safetensors")
    told = initialize_checkpoint(
        tmp_path / "in.safetensors",
        model=_tied(tied=tied, seed=2),
        batch=tmp_path / "batch.safetensors",
        output=tmp_path / "out.safetensors",
    )
    reason = (
        "shared: it is 'leave.weight' as well"
        if tied
        else "the file stores it once, for 'leave.weight' as well"
    )
    assert left(told) == {"enter.weight": reason}
    assert [step.name for step in told.steps] == ["last.weight"]
    before, after = read(tmp_path / "in.safetensors"), read(tmp_path / "out.safetensors")
    assert are_equal(before, after, "enter", "leave")
    net = _tied(tied=True)
    load_model(net, tmp_path / "out.safetensors", strict=True)
    assert_standard(net, TIED, ["last"])
