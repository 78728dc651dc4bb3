"""Optimizer states beside weights: kept where torch can go on with them, else never silently."""

from __future__ import annotations

import pytest
import torch
import written
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

import normcli
from normcli.errors import NormcliError

PUT = {
    ("spectral", "legacy"): spectral_norm,
    ("spectral", "parametrized"): parametrizations.spectral_norm,
    ("weight", "legacy"): weight_norm,
    ("weight", "parametrized"): parametrizations.weight_norm,
}
OTHER = {"legacy": "parametrized", "parametrized": "legacy"}
OPTIMIZERS = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=0.01),
}
SPELLINGS = list(PUT)


def _leaves(family, target):
    torch.manual_seed(1)
    put = PUT[family, target]
    layers = put(nn.Linear(6, 5)), nn.LayerNorm(5), put(nn.Linear(5, 5)), put(nn.Bilinear(5, 5, 3))
    return nn.ModuleList(layers)


def _attention(family, target):
    torch.manual_seed(2)
    return nn.ModuleDict(
        {"mix": PUT[family, target](nn.MultiheadAttention(6, 2), "in_proj_weight")}
    )


def _step(model, optimizer):
    """One step with gradients that depend on a parameter's place alone."""
    for place, parameter in enumerate(model.parameters()):
        torch.manual_seed(place)
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()


def _checkpoint(model, name, path):
    optimizer = OPTIMIZERS[name](model.parameters())
    for _ in range(3):
        _step(model, optimizer)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, path)
    return optimizer


def _same(found, expected):
    """Nested plain data and tensors, equal to the last bit."""
    if isinstance(expected, torch.Tensor):
        return found.dtype == expected.dtype and torch.equal(found, expected)
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(_same(found[k], expected[k]) for k in expected)
    if isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(_same, found, expected))
    return type(found) is type(expected) and found == expected


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(("family", "target"), SPELLINGS)
def test_after_convert_of_leaves_torchs_optimizer_goes_on_as_it_would_have(
    family, target, name, tmp_path
):
    model = _leaves(family, OTHER[target])
    optimizer = _checkpoint(model, name, tmp_path / "x.pt")
    normcli.convert(tmp_path / "x.pt", output=tmp_path / "y.pt", layout=target)
    before = torch.load(tmp_path / "x.pt", weights_only=True)
    after = torch.load(tmp_path / "y.pt", weights_only=True)
    assert after["epoch"] == 3
    assert _same(after["optimizer"], before["optimizer"])
    other = _leaves(family, target)
    other.load_state_dict(after["model"], strict=True)
    going_on = OPTIMIZERS[name](other.parameters())
    going_on.load_state_dict(after["optimizer"])
    _step(model, optimizer)
    _step(other, going_on)
    pairs = list(zip(other.parameters(), model.parameters(), strict=True))
    assert all(torch.equal(found, expected) for found, expected in pairs)


def _verbs(family):
    return {
        "apply": lambda path, **options: normcli.apply(path, norm=family, **options),
        "remove": lambda path, **options: normcli.remove(path, dims={"*": 0}, **options),
        "convert": lambda path, **options: normcli.convert(path, layout="parametrized", **options),
    }


REFUSED = {
    "apply to leaves": ("apply", lambda _: nn.ModuleList([nn.Linear(4, 3)])),
    "remove from leaves": ("remove", lambda family: _leaves(family, "legacy")),
    "remove from leaves, parametrized": ("remove", lambda family: _leaves(family, "parametrized")),
    "convert of attention": ("convert", lambda family: _attention(family, "legacy")),
}


@pytest.mark.parametrize("family", ["spectral", "weight"])
@pytest.mark.parametrize("name", REFUSED)
def test_where_the_order_of_parameters_changes_the_optimizer_has_to_be_dropped(
    name, family, tmp_path
):
    verb, make = REFUSED[name]
    _checkpoint(make(family), "Adam", tmp_path / "x.pt")
    run = _verbs(family)[verb]
    with pytest.raises(NormcliError) as caught:
        run(tmp_path / "x.pt", output=tmp_path / "y.pt")
    assert "--drop-optimizer" in caught.value.hint
    assert not (tmp_path / "y.pt").exists()
    run(tmp_path / "x.pt", output=tmp_path / "y.pt", drop_optimizer=True)
    after = torch.load(tmp_path / "y.pt", weights_only=True)
    assert set(after) == {"model", "epoch"}
    assert after["epoch"] == 3
    assert after["model"]


def test_the_attention_that_was_converted_loads_and_computes_the_same(tmp_path):
    before = _attention("spectral", "legacy")
    _checkpoint(before, "SGD", tmp_path / "x.pt")
    normcli.convert(
        tmp_path / "x.pt", output=tmp_path / "y.pt", layout="parametrized", drop_optimizer=True
    )
    after = _attention("spectral", "parametrized")
    after.load_state_dict(torch.load(tmp_path / "y.pt", weights_only=True)["model"], strict=True)
    assert torch.equal(written.output(after["mix"]), written.output(before["mix"]))


@pytest.mark.parametrize("iterations", [None, 2])
@pytest.mark.parametrize("target", ["legacy", "parametrized"])
def test_refresh_keeps_the_optimizer(target, iterations, tmp_path):
    model = _leaves("spectral", target)
    _checkpoint(model, "Adam", tmp_path / "x.pt")
    normcli.refresh(
        tmp_path / "x.pt", output=tmp_path / "y.pt", iterations=iterations, dims={"*": 0}
    )
    before = torch.load(tmp_path / "x.pt", weights_only=True)
    after = torch.load(tmp_path / "y.pt", weights_only=True)
    assert _same(after["optimizer"], before["optimizer"])
    OPTIMIZERS["Adam"](model.parameters()).load_state_dict(after["optimizer"])
    model.load_state_dict(after["model"], strict=True)


@pytest.mark.parametrize("target", ["legacy", "parametrized"])
def test_a_baked_weight_in_its_own_place_keeps_no_moments_of_another(target, tmp_path):
    # the numbers of W/σ₁ are others, but order, count and shapes of the parameters are the same
    model = nn.ModuleList([nn.Linear(4, 3)])
    _checkpoint(model, "Adam", tmp_path / "x.pt")
    options = {"layout": "plain", "drop_optimizer": True}
    normcli.apply(tmp_path / "x.pt", norm="spectral", output=tmp_path / "y.pt", **options)
    model.load_state_dict(torch.load(tmp_path / "y.pt", weights_only=True)["model"], strict=True)
