"""What convert writes: the same bits under the names of another spelling, in another format."""

from __future__ import annotations

import copy
from functools import cache

import foreign
import pytest
import torch
import written
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm
from torch.nn.utils.parametrize import register_parametrization
from written import DTYPES, STALLS, TARGETS

import normcli
from normcli.errors import NormcliError

OTHER = {"legacy": "parametrized", "parametrized": "legacy"}
CASES = written.cases("spectral", "weight")


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """(family, target, dtype) → the state dict that `normcli.convert` writes from the other one."""
    folder = tmp_path_factory.mktemp("converted")

    @cache
    def write(family, target, dtype):
        state = written.menagerie(family, OTHER[target], dtype, trained=True).state_dict()
        path = written.save(state, folder / f"{family}-{target}-{dtype}-input.pt")
        output = folder / f"{family}-{target}-{dtype}.pt"
        normcli.convert(path, output=output, layout=target)
        return written.load(output)

    return write


@pytest.mark.parametrize(("family", "target", "dtype", "stalls"), CASES)
def test_every_bit_is_there_under_the_keys_that_torch_gives_it(
    converted, family, target, dtype, stalls
):
    for stall in stalls:
        part = written.of_stall(converted(family, target, dtype), stall)
        before = stall.trained(family, OTHER[target], dtype).state_dict()
        theirs = stall.normed(family, target, dtype).state_dict()
        written.assert_spelled_alike(part, theirs)
        written.assert_same_metadata(part, theirs)
        bits = sorted(tensor.double().flatten().tolist() for tensor in before.values())
        assert sorted(tensor.double().flatten().tolist() for tensor in part.values()) == bits


@pytest.mark.parametrize(("family", "target", "dtype", "stalls"), CASES)
def test_the_layer_computes_the_same_to_the_last_bit(converted, family, target, dtype, stalls):
    for stall in stalls:
        part = written.of_stall(converted(family, target, dtype), stall)
        module = written.loaded(stall.normed(family, target, dtype, salt="fresh"), part)
        before = stall.trained(family, OTHER[target], dtype)
        assert torch.equal(written.output(module), written.output(before))
        assert torch.equal(written.taken_off(module, stall), written.taken_off(before, stall))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stall", STALLS["weight"], ids=str)
def test_weight_norm_is_what_torchs_own_loading_makes_of_the_hook(converted, stall, dtype):
    part = written.of_stall(converted("weight", "parametrized", dtype), stall)
    before = stall.trained("weight", "legacy", dtype).state_dict()
    module = stall.normed("weight", "parametrized", dtype, salt="fresh")
    module.load_state_dict(before, strict=True)  # torch converts this way alone
    written.assert_equal(part, module.state_dict())


def _after_training(module):
    with torch.no_grad():
        for _ in range(15):
            module.effective()
    return module


# Each with the path of its weight and the row axis that the library takes.
FOREIGN = {
    "weight_bar": (lambda: foreign.WeightBar(nn.Linear(7, 5)), "layer.module.weight", 0),
    "weight_bar, square": (lambda: foreign.WeightBar(nn.Linear(6, 6)), "layer.module.weight", 0),
    "weight_bar, transposed": (
        lambda: foreign.WeightBar(nn.ConvTranspose2d(3, 5, 3)),
        "layer.module.weight",
        0,
    ),
    "BigGAN": (lambda: foreign.BigGAN(5, 3, 3, 3), "layer.weight", 0),
    "BigGAN, square": (lambda: foreign.BigGAN(6, 6), "layer.weight", 0),
    "BigGAN, two values": (lambda: foreign.BigGAN(5, 7, values=2), "layer.weight", 0),
    "mimicry": (lambda: foreign.Mimicry(5, 3, 3, 3), "layer.weight", 0),
    "torch 0.4.1": (lambda: foreign.Version0(5, 7), "layer.weight", 0),
    "torch 0.4.1, transposed": (lambda: foreign.Version0(3, 5, 4, 4, dim=1), "layer.weight", 1),
}
PUT = {"legacy": spectral_norm, "parametrized": parametrizations.spectral_norm}


def _todays(state, key, axis, target):
    """A module of today's torch with that weight, and all other tensors as they are."""
    owner, _, leaf = key.rpartition(".")
    model = nn.Module()
    holder = model
    for name in owner.split("."):
        holder.add_module(name, nn.Module())
        holder = holder.get_submodule(name)
    stored = next(state[k] for k in (f"{key}_bar", f"{key}_orig", key) if k in state)
    setattr(holder, leaf, nn.Parameter(torch.empty_like(stored).normal_()))
    if f"{owner}.bias" in state:
        holder.bias = nn.Parameter(torch.empty_like(state[f"{owner}.bias"]))
    PUT[target](holder.eval(), leaf, dim=axis)
    return model.eval(), holder, stored


@pytest.mark.parametrize("steps", [0, 15], ids=["fresh", "trained"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_norm_becomes_torchs_and_computes_as_before(name, target, steps, tmp_path):
    torch.manual_seed(len(name))
    make, key, axis = FOREIGN[name]
    module = make()
    with torch.no_grad():
        for _ in range(max(steps, name.startswith("torch"))):
            module.effective()
    state = nn.ModuleDict({"layer": module}).state_dict()
    path = written.save(state, tmp_path / "x.pt")
    normcli.convert(path, output=tmp_path / "y.pt", layout=target)
    found = written.load(tmp_path / "y.pt")
    model, holder, stored = _todays(state, key, axis, target)
    model.load_state_dict(found, strict=True)
    (norm,) = written.modules._norms(holder, "weight")
    assert torch.equal(norm.original, stored)
    with torch.no_grad():
        expected = copy.deepcopy(module).eval().effective()
    effective = written.modules._taken_off(holder, "weight")
    torch.testing.assert_close(effective, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in FOREIGN if not name.startswith("torch")])
def test_u_and_v_are_those_after_the_step_that_the_module_takes_in_eval_mode(name, tmp_path):
    torch.manual_seed(len(name))
    make, key, _ = FOREIGN[name]
    state = nn.ModuleDict({"layer": make()}).state_dict()
    path = written.save(state, tmp_path / "x.pt")
    normcli.convert(path, output=tmp_path / "y.pt", layout="legacy")
    found = written.load(tmp_path / "y.pt")
    names = (f"{key}_u", f"{key.removesuffix('weight')}u0", f"{key.removesuffix('weight')}sn_u")
    u = next(state[k] for k in names if k in state).flatten()
    matrix = found[f"{key}_orig"].flatten(1)
    v = nn.functional.normalize(matrix.T @ u, dim=0)
    torch.testing.assert_close(found[f"{key}_v"], v, rtol=1e-5, atol=1e-6)
    u = nn.functional.normalize(matrix @ v, dim=0)
    torch.testing.assert_close(found[f"{key}_u"], u, rtol=1e-5, atol=1e-6)


def test_version_0_gets_the_v_that_torchs_own_loading_solves_for(tmp_path):
    torch.manual_seed(1)
    module = _after_training(foreign.Version0(7, 5))
    path = written.save(nn.ModuleDict({"layer": module}).state_dict(), tmp_path / "x.pt")
    normcli.convert(path, output=tmp_path / "y.pt", layout="legacy")
    holder = nn.Module()
    holder.weight = nn.Parameter(torch.empty(7, 5))
    model = nn.ModuleDict({"layer": spectral_norm(holder)})
    model.load_state_dict(torch.load(path, weights_only=True), strict=True)
    found = written.load(tmp_path / "y.pt")
    assert set(found) == set(model.state_dict())
    for key, tensor in model.state_dict().items():
        torch.testing.assert_close(found[key], tensor, rtol=1e-4, atol=1e-5)
    written.assert_same_metadata(found, model.state_dict())


class Halved(nn.Module):
    """A custom map without any state of its own."""

    def forward(self, weight):
        return weight / 2

    def right_inverse(self, weight):
        return weight


def _linear():
    torch.manual_seed(2)
    return nn.Linear(5, 4)


STACKS = {
    "spectral norm twice": lambda: parametrizations.spectral_norm(
        parametrizations.spectral_norm(_linear())
    ),
    "spectral norm on weight norm": lambda: parametrizations.spectral_norm(
        parametrizations.weight_norm(_linear())
    ),
}


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_has_no_legacy_spelling(name, tmp_path):
    path = written.save(STACKS[name]().state_dict(), tmp_path / "x.pt")
    with pytest.raises(NormcliError, match="weight"):
        normcli.convert(path, output=tmp_path / "y.pt", layout="legacy")
    assert not (tmp_path / "y.pt").exists()


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_stays_a_stack_in_another_format(name, tmp_path):
    state = STACKS[name]().state_dict()
    path = written.save(state, tmp_path / "x.pt")
    normcli.convert(path, output=tmp_path / "y.safetensors", layout="parametrized")
    written.assert_equal(written.load(tmp_path / "y.safetensors"), state)


def test_a_custom_parametrization_is_not_respelled(tmp_path):
    state = register_parametrization(_linear(), "weight", Halved()).state_dict()
    path = written.save(state, tmp_path / "x.pt")
    with pytest.raises(NormcliError, match="weight"):
        normcli.convert(path, output=tmp_path / "y.pt", layout="legacy", include=["weight"])


def test_both_families_of_one_file_are_respelled_at_once(tmp_path):
    def model(target):
        torch.manual_seed(3)
        spectral = PUT[target](nn.Conv1d(4, 6, 5).eval())
        put = weight_norm if target == "legacy" else parametrizations.weight_norm
        return nn.ModuleDict({"mpd": put(nn.Conv1d(6, 4, 3)), "msd": spectral}).eval()

    before = {"generator": model("legacy").state_dict(), "steps": 7, "epoch": 2}
    torch.save(before, tmp_path / "x.pt")
    normcli.convert(tmp_path / "x.pt", output=tmp_path / "y.pt", layout="parametrized")
    after = torch.load(tmp_path / "y.pt", weights_only=True)
    assert {key: after[key] for key in ("steps", "epoch")} == {"steps": 7, "epoch": 2}
    module = model("parametrized")
    written.assert_same_metadata(after["generator"], module.state_dict())
    module.load_state_dict(after["generator"], strict=True)
    for name, layer in model("legacy").items():
        layer.load_state_dict(
            {k.partition(".")[2]: v for k, v in before["generator"].items() if k.startswith(name)}
        )
        assert torch.equal(written.output(module[name]), written.output(layer))
