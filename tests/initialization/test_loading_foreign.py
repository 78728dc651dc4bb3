"""What torch does not write today: old hooks, other libraries and custom maps, into a model."""

from __future__ import annotations

import pytest
import torch
from checkpoints import LAYOUTS, assert_same_output, filled, output, saved
from torch import nn
from torch.nn.utils import spectral_norm

from normcli.errors import CheckpointError

SUFFIXES = (".pt", ".safetensors")

torch.set_num_threads(1)


def _version0(source):
    """The state that torch 0.4.1 wrote of the hook: the quotient, no v, no metadata of it."""
    state = source.state_dict()
    source(torch.zeros(1, source.in_features))
    state["weight"] = source.weight.detach().clone()
    del state["weight_v"]
    return dict(state)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_version_0_of_the_hook_is_read_into_every_layout(layout, tmp_path):
    torch.manual_seed(1)
    source = spectral_norm(nn.Linear(7, 5), n_power_iterations=20)
    source(torch.zeros(1, 7))
    path = saved(_version0(source.eval()), tmp_path / "x.pt")
    net = LAYOUTS[layout](nn.Linear(7, 5))
    filled(net, path)
    assert_same_output(output(net, (2, 7)), output(source, (2, 7)), room=1e-5)


def test_a_state_that_nobody_can_tell_is_refused_with_the_reason(tmp_path):
    state = spectral_norm(nn.Linear(7, 5)).state_dict()
    del state["weight_v"]
    path = saved(dict(state), tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=r"'weight': .*'weight_u'"):
        filled(spectral_norm(nn.Linear(7, 5)), path)


class Halved(nn.Module):
    """A map that no reader of a file knows."""

    def forward(self, weight):
        return weight / 2

    def right_inverse(self, weight):
        return weight * 2


def _halved(seed):
    torch.manual_seed(seed)
    return nn.utils.parametrize.register_parametrization(nn.Linear(7, 5), "weight", Halved())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_unknown_parametrization_fills_a_model_that_has_the_very_same(suffix, tmp_path):
    source, net = _halved(1), _halved(2)
    filled(net, saved(source.state_dict(), tmp_path / f"x{suffix}"))
    assert torch.equal(output(net, (2, 7)), output(source, (2, 7)))


def test_an_unknown_parametrization_fills_no_other_model(tmp_path):
    path = saved(_halved(1).state_dict(), tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="'weight': unknown parametrization: no state"):
        filled(nn.Linear(7, 5), path)


def test_a_model_under_an_unknown_parametrization_takes_nothing_else(tmp_path):
    path = saved(nn.Linear(7, 5).state_dict(), tmp_path / "x.pt")
    with pytest.raises(CheckpointError) as caught:
        filled(_halved(1), path)
    told = "'weight' is plain, the model has it under unknown parametrized"
    assert (str(caught.value), caught.value.hint) == (
        f"{path}: {told}",
        "build the model without it",
    )


def _one_step(weight, u):
    """What those libraries compute with: W/σ after a power step that starts at u."""
    matrix = weight.flatten(1)
    v = nn.functional.normalize(u @ matrix, dim=0)
    u = nn.functional.normalize(matrix @ v, dim=0)
    return weight / (u @ matrix @ v)


OTHERS = {
    "biggan": ("weight", {"u0": (1, 5), "sv0": (1,)}),
    "mimicry": ("weight", {"sn_u": (1, 5), "sn_sigma": (1,)}),
    "weight-bar": ("weight_bar", {"weight_u": (5,), "weight_v": (7,)}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("library", OTHERS)
def test_norms_of_other_libraries_are_read_into_every_layout(library, layout, tmp_path):
    torch.manual_seed(1)
    key, buffers = OTHERS[library]
    state = {key: torch.randn(5, 7), "bias": torch.randn(5)}
    state |= {name: torch.randn(shape) for name, shape in buffers.items()}
    u = next(iter(buffers))
    state[u] = nn.functional.normalize(state[u], dim=-1)
    net, expected = LAYOUTS[layout](nn.Linear(7, 5)), nn.Linear(7, 5)
    filled(net, saved(state, tmp_path / "x.pt"))
    with torch.no_grad():
        expected.weight.copy_(_one_step(state[key], state[u].flatten()))
        expected.bias.copy_(state["bias"])
    assert_same_output(output(net, (2, 7)), output(expected, (2, 7)), room=1e-5)
