"""Norms that other libraries write: the module's own output in eval mode is the answer."""

from __future__ import annotations

import copy

import foreign
import pytest
import torch
from exhibits import effective_weights, measure
from torch import nn
from torch.nn.utils import prune, spectral_norm

# The modules multiply rows where torch multiplies vectors: a few roundings of difference.
ROUNDING = {"rtol": 1e-5, "atol": 1e-7}

MODULES = {
    "weight_bar of a linear layer": (
        "weight-bar",
        "module.weight",
        lambda: foreign.WeightBar(nn.Linear(7, 5)),
    ),
    "weight_bar of a square linear layer": (
        "weight-bar",
        "module.weight",
        lambda: foreign.WeightBar(nn.Linear(6, 6)),
    ),
    "weight_bar of a convolution": (
        "weight-bar",
        "module.weight",
        lambda: foreign.WeightBar(nn.Conv2d(3, 5, 3)),
    ),
    "weight_bar of a transposed convolution": (
        "weight-bar",
        "module.weight",
        lambda: foreign.WeightBar(nn.ConvTranspose2d(3, 5, 3)),
    ),
    "weight_bar of a square transposed convolution": (
        "weight-bar",
        "module.weight",
        lambda: foreign.WeightBar(nn.ConvTranspose2d(4, 4, 3)),
    ),
    "BigGAN of a linear layer": ("biggan", "weight", lambda: foreign.BigGAN(5, 7)),
    "BigGAN of a square linear layer": ("biggan", "weight", lambda: foreign.BigGAN(6, 6)),
    "BigGAN of a convolution": ("biggan", "weight", lambda: foreign.BigGAN(5, 3, 3, 3)),
    "BigGAN with two singular values": ("biggan", "weight", lambda: foreign.BigGAN(5, 7, values=2)),
    "mimicry of a linear layer": ("mimicry", "weight", lambda: foreign.Mimicry(5, 7)),
    "mimicry of a convolution": ("mimicry", "weight", lambda: foreign.Mimicry(5, 3, 3, 3)),
    "torch 0.4.1 of a linear layer": ("legacy-v0", "weight", lambda: foreign.Version0(5, 7)),
    "torch 0.4.1 of a convolution": ("legacy-v0", "weight", lambda: foreign.Version0(5, 3, 3, 3)),
    "torch 0.4.1 of a transposed convolution": (
        "legacy-v0",
        "weight",
        lambda: foreign.Version0(3, 5, 4, 4, dim=1),
    ),
}
ONE_STEP = [name for name, (layout, _, _) in MODULES.items() if layout != "legacy-v0"]
VERSION_0 = [name for name, (layout, _, _) in MODULES.items() if layout == "legacy-v0"]


def _trained(name, steps=15):
    """The module after some training forwards."""
    torch.manual_seed(len(name))
    module = MODULES[name][2]()
    with torch.no_grad():
        for _ in range(steps):
            module.effective()
    return module


def _saved(module, path):
    torch.save(nn.ModuleDict({"layer": module}).state_dict(), path)
    return path


def _in_eval_mode(module):
    """The weight that a loaded copy computes with."""
    with torch.no_grad():
        return copy.deepcopy(module).eval().effective().clone()


@pytest.mark.parametrize("steps", [0, 15], ids=["fresh", "trained"])
@pytest.mark.parametrize("name", ONE_STEP)
def test_the_effective_weight_is_the_one_after_the_power_step_of_eval_mode(name, steps, tmp_path):
    module = _trained(name, steps)
    path = _saved(module, tmp_path / "foreign.pt")
    found = effective_weights(path)[f"layer.{MODULES[name][1]}"]
    torch.testing.assert_close(found, _in_eval_mode(module), **ROUNDING)


@pytest.mark.parametrize("name", VERSION_0)
def test_the_effective_weight_of_version_0_is_the_stored_quotient(name, tmp_path):
    module = _trained(name)
    path = _saved(module, tmp_path / "foreign.pt")
    assert torch.equal(effective_weights(path)["layer.weight"], _in_eval_mode(module))


@pytest.mark.parametrize("name", MODULES)
def test_a_foreign_state_is_measured_under_the_weights_own_name(name, tmp_path):
    layout, key, _ = MODULES[name]
    module = _trained(name)
    measured = measure(_saved(module, tmp_path / "foreign.pt"))
    parts = ("_bar", "_orig", "_u", "_v", "u0", "sv0", "u1", "sv1", "sn_u", "sn_sigma")
    assert not [other for other in measured if other.endswith(parts)]
    found, weight = measured[f"layer.{key}"], _in_eval_mode(module)
    assert (found.state.family, found.state.layout) == ("spectral", layout)
    matrix = weight.double().movedim(found.state.dim, 0).flatten(1)
    assert found.state.dim == getattr(module, "dim", 0)
    assert found.frobenius == pytest.approx(matrix.norm().item(), rel=1e-5)
    exact = torch.linalg.svdvals(matrix)[0].item()
    assert found.spectral_norm.value == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("name", MODULES)
def test_the_stored_sigma_of_a_foreign_state_is_what_its_module_divides_by(name, tmp_path):
    _, key, _ = MODULES[name]
    module = _trained(name)
    found = measure(_saved(module, tmp_path / "foreign.pt"))[f"layer.{key}"].state
    inner = getattr(module, "module", module)
    original = next(
        getattr(inner, part)
        for part in ("weight_bar", "weight_orig", "weight")
        if hasattr(inner, part)
    )
    quotient = original.norm() / _in_eval_mode(module).norm()
    assert found.sigma_stored == pytest.approx(quotient.item(), rel=1e-5)


@pytest.mark.parametrize("name", VERSION_0)
def test_version_0_agrees_with_what_torch_makes_of_it_on_loading(name, tmp_path):
    module = _trained(name)
    path = _saved(module, tmp_path / "foreign.pt")
    weight = module.weight_orig
    layer = nn.Module()
    layer.weight = nn.Parameter(torch.empty_like(weight))
    modern = nn.ModuleDict({"layer": spectral_norm(layer, dim=module.dim)})
    modern.load_state_dict(torch.load(path, weights_only=True), strict=True)
    (hook,) = layer.eval()._forward_pre_hooks.values()
    hook(layer, ())
    found = effective_weights(path)["layer.weight"]
    torch.testing.assert_close(found, layer.weight.detach(), rtol=1e-4, atol=1e-6)


def test_a_zero_entry_does_not_spoil_sigma_of_version_0(tmp_path):
    module = _trained("torch 0.4.1 of a linear layer")
    module.weight_orig[1, 2] = module.weight[1, 2] = 0
    quotient = module.weight_orig.norm() / module.weight.norm()
    found = measure(_saved(module, tmp_path / "foreign.pt"))["layer.weight"]
    assert found.state.sigma_stored == pytest.approx(quotient.item(), rel=1e-6)


PRUNINGS = {
    "by chance": lambda layer: prune.random_unstructured(layer, "weight", 0.5),
    "by size": lambda layer: prune.l1_unstructured(layer, "weight", 0.3),
    "by rows": lambda layer: prune.ln_structured(layer, "weight", 0.4, n=2, dim=0),
}


@pytest.mark.parametrize("name", PRUNINGS)
def test_a_pruned_weight_is_the_one_that_torchs_removal_leaves(name, tmp_path):
    torch.manual_seed(4)
    layer = PRUNINGS[name](nn.Linear(7, 5))
    path = _saved(layer, tmp_path / "pruned.pt")
    weight = prune.remove(layer, "weight").weight.detach()
    found = measure(path)["layer.weight"]
    assert torch.equal(effective_weights(path)["layer.weight"], weight)
    assert (found.state.family, found.state.layout) == ("pruning", "legacy")
    assert found.frobenius == pytest.approx(weight.double().norm().item(), rel=1e-12)
    assert found.zero_rows == int((weight == 0).all(dim=1).sum())


def test_names_of_rwkv_that_end_in_g_and_v_are_plain_parameters(tmp_path):
    module = foreign.TimeMix(6)
    measured = measure(_saved(module, tmp_path / "rwkv.pt"))
    assert set(measured) == {f"layer.time_mix_{letter}" for letter in "gkrv"} | {"layer.key.weight"}
    assert not [each for each in measured.values() if each.state is not None]
