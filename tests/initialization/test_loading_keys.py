"""Strictly: every tensor of the model from the file, every key of the file used, of one section."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from checkpoints import filled, model, output, saved
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from normcli.errors import CheckpointError, UsageError

torch.set_num_threads(1)


def _net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(OrderedDict(fc1=nn.Linear(4, 3), fc2=nn.Linear(3, 2)))


def _state(seed=1):
    return dict(_net(seed).state_dict())


def _below(prefix, state):
    return {prefix + key: tensor for key, tensor in state.items()}


def _refused(net, path, kind=CheckpointError, **options):
    """(message, hint) of the one error."""
    with pytest.raises(kind) as caught:
        filled(net, path, **options)
    return str(caught.value), caught.value.hint


def _assert_filled(net, state):
    for key, tensor in state.items():
        assert torch.equal(net.state_dict()[key], tensor), key


def test_what_is_missing_and_what_is_too_much_is_one_error(tmp_path):
    state = _state()
    state["head.weight"], state["head.bias"] = torch.ones(2, 2), torch.ones(2)
    del state["fc2.weight"], state["fc2.bias"], state["fc1.bias"]
    path = saved(state, tmp_path / "x.pt")
    message, hint = _refused(_net(), path)
    lacks = "lacks 'fc1.bias' and 2 more that the model has"
    assert message == f"{path}: {lacks}; holds 'head.weight' and 1 more that it does not have"
    assert hint == "normcli ls shows what it holds"


def test_one_missing_weight_is_named_alone(tmp_path):
    state = _state()
    del state["fc2.weight"]
    path = saved(state, tmp_path / "x.safetensors")
    assert _refused(_net(), path)[0] == f"{path}: lacks 'fc2.weight' that the model has"


def test_one_weight_too_many_is_named_alone(tmp_path):
    path = saved(_state() | {"head.weight": torch.ones(2, 2)}, tmp_path / "x.pt")
    told = "holds 'head.weight' that the model does not have"
    assert _refused(_net(), path)[0] == f"{path}: {told}"


@pytest.mark.parametrize(
    "put",
    [weight_norm, spectral_norm, parametrizations.weight_norm, parametrizations.spectral_norm],
)
def test_norms_are_named_by_their_weights(put, tmp_path):
    net = _net()
    put(net.fc2)
    state = _state()
    del state["fc2.weight"]
    path = saved(state, tmp_path / "x.pt")
    assert _refused(net, path)[0] == f"{path}: lacks 'fc2.weight' that the model has"
    path = saved(net.state_dict(), tmp_path / "y.pt")
    other = nn.Sequential(OrderedDict(fc1=nn.Linear(4, 3)))
    told = "holds 'fc2.bias' and 1 more that the model does not have"
    assert _refused(other, path)[0] == f"{path}: {told}"


def test_a_stray_part_is_not_taken_for_that_of_a_norm(tmp_path):
    net = weight_norm(nn.Linear(4, 3))
    path = saved(nn.Linear(4, 3).state_dict() | {"weight_v": torch.ones(3, 4)}, tmp_path / "x.pt")
    told = "holds 'weight_v' that the model does not have"
    assert _refused(net, path)[0] == f"{path}: {told}"


def test_another_shape_is_refused_with_both(tmp_path):
    path = saved(_state() | {"fc1.weight": torch.ones(10, 64)}, tmp_path / "x.pt")
    told = "'fc1.weight' has shape (10, 64), the model's has (3, 4)"
    assert _refused(_net(), path)[0] == f"{path}: {told}"


@pytest.mark.parametrize("put", [weight_norm, spectral_norm, parametrizations.weight_norm])
def test_another_shape_under_a_norm_is_that_of_the_weight(put, tmp_path):
    path = saved(put(nn.Linear(4, 5)).state_dict(), tmp_path / "x.pt")
    told = "'weight' has shape (5, 4), the model's has (5, 3)"
    state = _refused(nn.Linear(3, 5), path)[0], _refused(put(nn.Linear(3, 5)), path)[0]
    assert state == (f"{path}: {told}", f"{path}: {told}")


def test_a_scalar_of_one_axis_is_taken_as_torch_takes_it(tmp_path):
    net = nn.Module()
    net.scale = nn.Parameter(torch.tensor(0.0))
    filled(net, saved({"scale": torch.tensor([3.0])}, tmp_path / "x.pt"))
    assert net.scale.item() == 3


# prefixes


@pytest.mark.parametrize("prefix", ["module.", "model.net.", "_orig_mod."])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_keys_below_a_prefix_fill_the_model_and_others_are_left_alone(prefix, suffix, tmp_path):
    state = _below(prefix, _state()) | {"other.weight": torch.ones(2, 2)}
    for said in (prefix, prefix.removesuffix(".")):
        net = _net()
        loaded = filled(net, saved(state, tmp_path / f"x{suffix}"), prefix=said)
        _assert_filled(net, _state())
        assert loaded.weights["fc1.weight"].name == f"{prefix}fc1.weight"


def test_the_prefix_that_all_keys_have_is_the_hint(tmp_path):
    path = saved(_below("module.", _state()), tmp_path / "x.pt")
    message, hint = _refused(_net(), path)
    lacks = "lacks 'fc1.weight' and 3 more that the model has"
    holds = "holds 'module.fc1.weight' and 3 more that it does not have"
    assert message == f"{path}: {lacks}; {holds}"
    assert hint == "its keys begin with 'module.': --prefix module."


def test_the_prefix_that_some_keys_have_is_the_hint(tmp_path):
    state = _below("generator.", _state()) | {"step": torch.tensor(3)}
    hint = _refused(_net(), saved(state, tmp_path / "x.pt"))[1]
    assert hint == "keys of the model are there below 'generator.': --prefix generator."


def test_a_prefix_that_is_too_short_gets_the_rest_as_the_hint(tmp_path):
    path = saved(_below("model.net.", _state()), tmp_path / "x.pt")
    hint = _refused(_net(), path, prefix="model.")[1]
    assert hint == "its keys begin with 'model.net.': --prefix model.net."


def test_a_prefix_of_the_model_that_the_file_lacks_is_the_hint(tmp_path):
    path = saved(_state(), tmp_path / "x.pt")
    hint = _refused(nn.DataParallel(_net()), path)[1]
    begin = "keys of the model begin with 'module.', those of the file do not"
    assert hint == f"{begin}: have --model build its 'module' alone"


def test_a_prefix_that_no_key_has_is_an_error(tmp_path):
    path = saved(_below("module.", _state()), tmp_path / "x.pt")
    message, hint = _refused(_net(), path, UsageError, prefix="modul.")
    assert message == f"--prefix: no key of {path} begins with 'modul.'"
    assert hint == "did you mean 'module.'?"


def test_norms_below_a_prefix_are_respelled(tmp_path):
    source, net = model("weight legacy", 1), model("weight parametrized", 2)
    state = nn.DataParallel(source).state_dict()
    filled(net, saved(state, tmp_path / "x.pt"), prefix="module.")
    assert torch.equal(output(net), output(source))


def test_a_file_of_data_parallel_fills_a_model_in_it(tmp_path):
    source, net = model("spectral legacy", 1), model("spectral parametrized", 2)
    path = saved(nn.DataParallel(source).state_dict(), tmp_path / "x.pt")
    filled(nn.DataParallel(net), path)
    assert torch.equal(output(net), output(source))


# sections


def _training(state):
    """What a training script saves beside the model."""
    optimizer = torch.optim.Adam(_net().parameters())
    optimizer.zero_grad()
    return {"epoch": 3, "model": state, "optimizer": optimizer.state_dict()}


def test_the_only_section_is_the_models(tmp_path):
    net = _net()
    assert filled(net, saved(_training(_state()), tmp_path / "x.pt")).section == "model"
    _assert_filled(net, _state())


def test_what_lightning_saves_is_read_below_its_prefix(tmp_path):
    state = OrderedDict(_below("model.", _state()))
    content = {"state_dict": state, "epoch": 4, "global_step": 9, "loops": {}}
    path, net = saved(content, tmp_path / "x.ckpt"), _net()
    assert _refused(net, path)[1] == "its keys begin with 'model.': --prefix model."
    loaded = filled(net, path, prefix="model.")
    assert (loaded.section, loaded.weights["fc2.bias"].name) == (
        "state_dict",
        "state_dict/model.fc2.bias",
    )
    _assert_filled(net, _state())


def test_the_section_that_fits_is_the_models(tmp_path):
    other = dict(nn.Conv2d(3, 4, 3).state_dict())
    net = _net()
    assert filled(net, saved({"D": other, "G": _state()}, tmp_path / "x.pt")).section == "G"
    _assert_filled(net, _state())


def test_of_two_sections_that_fit_one_has_to_be_named(tmp_path):
    path = saved({"params": _state(1), "params_ema": _state(2)}, tmp_path / "x.pt")
    message, hint = _refused(_net(), path, UsageError)
    told = "2 sections hold all that the model has: 'params', 'params_ema'"
    assert message == f"{path}: {told}"
    assert hint == "say which is the model's: --section params"
    net = _net()
    assert filled(net, path, section="params_ema").section == "params_ema"
    _assert_filled(net, _state(2))


def test_where_no_section_fits_the_one_that_comes_near_says_what_it_lacks(tmp_path):
    state = _state()
    del state["fc2.bias"]
    path = saved({"D": dict(nn.Conv2d(3, 4, 3).state_dict()), "G": state}, tmp_path / "x.pt")
    message, _ = _refused(_net(), path)
    assert message == f"{path}: lacks 'fc2.bias' that the model has"


def test_where_no_section_comes_near_all_are_listed(tmp_path):
    sections = {"a": dict(nn.Conv2d(3, 4, 3).state_dict()), "b": {"x": torch.ones(2)}}
    path = saved(sections, tmp_path / "x.pt")
    message, hint = _refused(_net(), path, UsageError)
    assert message == f"{path}: none of 2 sections holds all that the model has: 'a', 'b'"
    assert hint == "say which is the model's: --section a"


def test_where_a_prefix_would_fit_one_section_it_is_the_hint(tmp_path):
    sections = {"a": dict(nn.Conv2d(3, 4, 3).state_dict()), "b": _below("module.", _state())}
    path = saved(sections, tmp_path / "x.pt")
    assert _refused(_net(), path)[1] == "its keys begin with 'module.': --prefix module."
    assert filled(_net(), path, prefix="module.").section == "b"


def test_a_section_that_is_not_there_is_an_error(tmp_path):
    path = saved({"gen": _state(), "disc": _state()}, tmp_path / "x.pt")
    message, hint = _refused(_net(), path, UsageError, section="gene")
    assert message == f"--section: 'gene' is no section of {path}"
    assert hint == "did you mean 'gen'?"


def test_the_bare_top_of_a_file_is_the_empty_section(tmp_path):
    path = saved({**_state(1), "ema": _state(2)}, tmp_path / "x.pt")
    net = _net()
    assert filled(net, path, section="").section == ""
    _assert_filled(net, _state(1))
