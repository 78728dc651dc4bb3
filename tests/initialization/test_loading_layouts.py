"""A model filled from a checkpoint of another layout computes what the saved one does."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from checkpoints import LAYOUTS, assert_same_output, filled, model, output, saved
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from normcli.errors import CheckpointError, NormcliError, UsageError
from normcli.records import NormState, TensorRef

SUFFIXES = (".pt", ".safetensors")
SPECTRAL = [layout for layout in LAYOUTS if layout.startswith("spectral")]
WEIGHT = [layout for layout in LAYOUTS if layout.startswith("weight")]
REFUSED = list(product(["plain", *WEIGHT], SPECTRAL))
TAKEN = [pair for pair in product(LAYOUTS, LAYOUTS) if pair not in REFUSED]
KEYS = {"0.weight", "2.weight", "4.weight"}

torch.set_num_threads(1)


def _is_exact(before, after):
    """Whether no number is computed anew, or only as torch's removal does it."""
    return after == "plain" or before.split()[0] == after.split()[0]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("before", "after"), TAKEN)
def test_the_filled_model_computes_what_the_saved_one_does(before, after, suffix, tmp_path):
    source, net = model(before, 1), model(after, 2)
    path = saved(source.state_dict(), tmp_path / f"x{suffix}")
    loaded = filled(net, path)
    assert set(loaded.weights) == KEYS | {key for key in source.state_dict() if key[0] == "1"} | {
        "0.bias",
        "2.bias",
        "4.bias",
    }
    if _is_exact(before, after):
        assert torch.equal(output(net), output(source))
    else:
        assert_same_output(output(net), output(source))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("before", "after"), REFUSED)
def test_spectral_norm_is_not_made_up(before, after, suffix, tmp_path):
    path = saved(model(before, 1).state_dict(), tmp_path / f"x{suffix}")
    with pytest.raises(CheckpointError) as caught:
        filled(model(after, 2), path)
    under = before if before == "plain" else f"under {before}"
    assert str(caught.value) == f"{path}: '0.weight' is {under}, the model has it under {after}"
    target = after.partition(" ")[2]
    apply = f"normcli apply --spectral --layout {target} writes such a checkpoint"
    first = "" if before == "plain" else "normcli remove, then "
    assert caught.value.hint == f"{first}{apply}; or build the model without it"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_layout_gives_every_bit(layout, tmp_path):
    source, net = model(layout, 1), model(layout, 2)
    filled(net, saved(source.state_dict(), tmp_path / "x.pt"))
    for key, tensor in source.state_dict().items():
        assert torch.equal(net.state_dict()[key], tensor), key


@pytest.mark.parametrize(("before", "after"), [SPECTRAL, WEIGHT])
def test_another_spelling_gives_every_bit_of_every_part(before, after, tmp_path):
    source, net = model(before, 1), model(after, 2)
    filled(net, saved(source.state_dict(), tmp_path / "x.pt"))
    found = sorted(net.state_dict().values(), key=lambda tensor: tensor.sum().item())
    expected = sorted(source.state_dict().values(), key=lambda tensor: tensor.sum().item())
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("put", [weight_norm, parametrizations.weight_norm])
@pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 0), (None, 0), (0, None), (2, 0)])
def test_weight_norm_on_one_axis_is_encoded_on_another(before, after, put, tmp_path):
    def conv(dim, seed):
        torch.manual_seed(seed)
        return put(nn.Conv2d(4, 6, 3), dim=dim)

    source, net = conv(before, 1), conv(after, 2)
    with torch.no_grad():
        for name, parameter in source.named_parameters():
            if name.endswith(("_g", "original0")):
                parameter.mul_(torch.rand_like(parameter) + 0.5)
    filled(net, saved(source.state_dict(), tmp_path / "x.pt"))
    assert_same_output(output(net, (2, 4, 6, 6)), output(source, (2, 4, 6, 6)))
    v, g = (net.state_dict()[key] for key in _parts(net))
    assert torch.equal(g, torch.norm_except_dim(v, 2, -1 if after is None else after))


def _parts(net):
    return [
        next(key for key in net.state_dict() if key.endswith(ends))
        for ends in (("_v", "original1"), ("_g", "original0"))
    ]


def test_g_of_a_transposed_convolution_stays_on_axis_0(tmp_path):
    source, net = nn.ConvTranspose2d(3, 5, 3), weight_norm(nn.ConvTranspose2d(3, 5, 3))
    filled(net, saved(source.state_dict(), tmp_path / "x.pt"))
    state = net.state_dict()
    assert torch.equal(state["weight_v"], source.weight)
    assert torch.equal(state["weight_g"], torch.norm_except_dim(source.weight, 2, 0))


def test_one_number_g_with_an_axis_is_the_scalar_that_torch_keeps_today(tmp_path):
    source = weight_norm(nn.Linear(4, 3), dim=None)
    state = source.state_dict()
    state["weight_g"] = state["weight_g"].reshape(1)
    for net in (
        weight_norm(nn.Linear(4, 3), dim=None),
        parametrizations.weight_norm(nn.Linear(4, 3), dim=None),
    ):
        filled(net, saved(state, tmp_path / "x.pt"))
        assert_same_output(output(net, (2, 4)), output(source, (2, 4)))


def test_a_row_of_zeros_stays_a_row_of_zeros_under_weight_norm(tmp_path):
    source, net = nn.Linear(4, 3), weight_norm(nn.Linear(4, 3))
    with torch.no_grad():
        source.weight[1] = 0
    filled(net, saved(source.state_dict(), tmp_path / "x.pt"))
    assert_same_output(output(net, (2, 4)), output(source, (2, 4)))


def test_a_stack_is_filled_from_the_same_stack_and_bakes_into_a_plain_model(tmp_path):
    def stack(seed):
        torch.manual_seed(seed)
        linear = parametrizations.spectral_norm(parametrizations.weight_norm(nn.Linear(5, 4)))
        return linear.eval()

    source = stack(1)
    path = saved(source.state_dict(), tmp_path / "x.pt")
    for net in (stack(2), nn.Linear(5, 4)):
        filled(net, path)
        assert torch.equal(output(net, (2, 5)), output(source, (2, 5)))
    with pytest.raises(CheckpointError, match=r"'weight' is under weight\+spectral parametrized"):
        filled(spectral_norm(nn.Linear(5, 4)), path)
    net = parametrizations.weight_norm(nn.Linear(5, 4))
    filled(net, path)
    assert_same_output(output(net, (2, 5)), output(source, (2, 5)))


def test_a_pruned_checkpoint_fills_a_plain_model_with_what_is_left(tmp_path):
    torch.manual_seed(1)
    source, net = prune.random_unstructured(nn.Linear(7, 5), "weight", 0.4), nn.Linear(7, 5)
    loaded = filled(net, saved(source.state_dict(), tmp_path / "x.pt"))
    assert torch.equal(net.weight, source.weight)
    assert loaded.notes == ("'weight': pruned: the effective weight is original × mask",)


def test_spectral_norm_on_other_rows_is_refused_by_the_shape_of_its_vectors(tmp_path):
    source = spectral_norm(nn.ConvTranspose2d(3, 5, 3), dim=0)
    path = saved(source.state_dict(), tmp_path / "x.pt")
    for put, key in ((spectral_norm, "weight_u"), (parametrizations.spectral_norm, "weight_u")):
        with pytest.raises(CheckpointError) as caught:
            filled(put(nn.ConvTranspose2d(3, 5, 3)), path)
        assert str(caught.value) == f"{path}: '{key}' has shape (3,), the model's has (5,)"


@pytest.mark.parametrize("layout", ["plain", *WEIGHT])
def test_an_open_row_axis_is_asked_for_and_taken(layout, tmp_path):
    torch.manual_seed(1)
    source = spectral_norm(nn.Linear(6, 6)).eval()  # fresh: u and v are random
    path = saved(source.state_dict(), tmp_path / "x.pt")
    net = LAYOUTS[layout](nn.Linear(6, 6))
    with pytest.raises(UsageError) as caught:
        filled(net, path)
    told = "neither shapes nor values tell which axis is the rows of 'weight'"
    assert str(caught.value) == f"{path}: {told}"
    assert caught.value.hint == "say it: --dim weight=0, or 1 for a transposed convolution"
    filled(net, path, dims={"w*": 0})
    assert_same_output(output(net, (2, 6)), output(source, (2, 6)), room=1e-5)


def test_an_open_row_axis_does_not_matter_for_keys_alone(tmp_path):
    torch.manual_seed(1)
    source = spectral_norm(nn.Linear(6, 6)).eval()
    path = saved(source.state_dict(), tmp_path / "x.pt")
    net = parametrizations.spectral_norm(nn.Linear(6, 6).eval())
    filled(net, path)
    assert torch.equal(output(net, (2, 6)), output(source, (2, 6)))


def test_an_axis_that_a_weight_does_not_have_is_refused(tmp_path):
    path = saved(spectral_norm(nn.Linear(6, 6)).state_dict(), tmp_path / "x.pt")
    with pytest.raises(NormcliError, match="--dim: axis 2 was asked for 'weight'"):
        filled(nn.Linear(6, 6), path, dims={"weight": 2})


def test_every_tensor_of_the_model_is_told_with_what_it_is_stored_as(tmp_path):
    path = saved(model("weight legacy", 1).state_dict(), tmp_path / "x.pt")
    loaded = filled(model("plain", 2), path)
    assert loaded.section == ""
    state, bias = loaded.weights["4.weight"], loaded.weights["4.bias"]
    assert isinstance(state, NormState)
    assert isinstance(bias, TensorRef)
    assert {part.key for part in state.parts.values()} == {"4.weight_g", "4.weight_v"}
    assert (bias.key, bias.shape) == ("4.bias", (7,))
