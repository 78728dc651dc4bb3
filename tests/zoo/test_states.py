"""States at the edge: vectors, fresh hooks, zeros, empty axes, complex numbers, mixed dtypes."""

from __future__ import annotations

import pytest
import torch
from exhibits import effective_weights, measure
from torch import nn
from torch.nn.utils import (
    parametrizations,
    remove_spectral_norm,
    remove_weight_norm,
    spectral_norm,
    weight_norm,
)
from torch.nn.utils.parametrize import remove_parametrizations

import normcli


class Holder(nn.Module):
    """A module that has a weight and nothing else."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)


def _saved(module, path):
    torch.save(nn.ModuleDict({"layer": module}).state_dict(), path)
    return path


def _forward(module, times=3):
    with torch.no_grad():
        for _ in range(times):
            for hook in module._forward_pre_hooks.values():
                hook(module, ())
    return module


def _random(*shape, dtype=torch.float32):
    torch.manual_seed(sum(shape))
    return torch.randn(*shape, dtype=dtype)


def _hooked(weight, **options):
    return _forward(spectral_norm(Holder(weight), **options))


def _removed(module, name="weight"):
    if hasattr(module, f"{name}_u"):
        remove_spectral_norm(module, name)
    elif hasattr(module, f"{name}_g"):
        remove_weight_norm(module, name)
    else:
        remove_parametrizations(module.eval(), name)
    return getattr(module, name).detach()


VECTORS = {
    "hooked spectral norm": lambda: _forward(spectral_norm(nn.Linear(4, 5), "bias")),
    "hooked weight norm": lambda: weight_norm(nn.Linear(4, 5), "bias"),
    "parametrized weight norm": lambda: parametrizations.weight_norm(nn.Linear(4, 5), "bias"),
    "hooked weight norm, dim None": lambda: weight_norm(nn.Linear(4, 5), "bias", dim=None),
}


@pytest.mark.parametrize("name", VECTORS)
def test_the_effective_vector_equals_what_torchs_removal_leaves(name, tmp_path):
    torch.manual_seed(3)
    layer = VECTORS[name]()
    path = _saved(layer, tmp_path / "x.pt")
    vector = _removed(layer, "bias")
    assert torch.equal(effective_weights(path)["layer.bias"], vector)
    found = measure(path)["layer.bias"]
    assert found.matrix_shape == (5, 1)
    assert found.frobenius == pytest.approx(vector.double().norm().item(), rel=1e-12)
    assert found.spectral_norm.value == pytest.approx(vector.double().norm().item(), rel=1e-12)


@pytest.mark.parametrize("rows", [0, 1])
def test_a_fresh_hook_on_a_square_weight_is_taken_as_axis_0_with_a_note(rows, tmp_path):
    torch.manual_seed(5)
    layer = spectral_norm(Holder(torch.randn(32, 32)), dim=rows)
    path = _saved(layer, tmp_path / "x.pt")
    found = measure(path)["layer.weight"]
    assert found.state.dim == 0
    assert any("axis" in note for note in found.notes)
    assert found.spectral_norm is not None


@pytest.mark.parametrize("rows", [0, 1])
def test_a_trained_hook_on_a_square_weight_tells_its_axis_by_value(rows, tmp_path):
    torch.manual_seed(5)
    layer = _forward(spectral_norm(Holder(torch.randn(32, 32)), dim=rows), times=9)
    path = _saved(layer, tmp_path / "x.pt")
    assert measure(path)["layer.weight"].state.dim == rows
    assert torch.equal(effective_weights(path)["layer.weight"], _removed(layer))


def test_a_stale_state_says_so(tmp_path):
    layer = _forward(spectral_norm(Holder(_random(9, 6))), times=30)
    with torch.no_grad():
        layer.weight_orig[:] = _random(9, 6).flip(0)
    found = measure(_saved(layer, tmp_path / "x.pt"))["layer.weight"]
    exact = torch.linalg.svdvals(layer.weight_orig.detach().double())[0].item()
    sigma = torch.dot(layer.weight_u, torch.mv(layer.weight_orig, layer.weight_v)).item()
    assert found.state.staleness == pytest.approx(1 - sigma / exact, abs=1e-6)
    assert any("stale" in note for note in found.notes)


def test_averaged_vectors_say_so(tmp_path):
    layer = _hooked(_random(9, 6))
    layer.weight_u.mul_(0.6)
    found = measure(_saved(layer, tmp_path / "x.pt"))["layer.weight"]
    assert found.state.u_norm == pytest.approx(0.6, rel=1e-6)
    assert any("‖u‖" in note for note in found.notes)


DIVIDED_BY_ZERO = {
    "hooked spectral norm": (lambda: _hooked(torch.zeros(4, 3)), 12),
    "hooked spectral norm, float16": (lambda: _hooked(torch.zeros(4, 3).half()), 12),
    "parametrized spectral norm": (
        lambda: parametrizations.spectral_norm(Holder(torch.zeros(4, 3))),
        12,
    ),
    "hooked weight norm": (lambda: weight_norm(Holder(torch.zeros(4, 3))), 12),
    "parametrized weight norm": (
        lambda: parametrizations.weight_norm(Holder(torch.zeros(4, 3))),
        12,
    ),
    "weight norm with one zero row": (
        lambda: weight_norm(Holder(_random(4, 3) * torch.tensor([[1.0], [0], [1], [1]]))),
        3,
    ),
    "one weight norm over all with a zero row": (
        lambda: weight_norm(Holder(_random(4, 3) * torch.tensor([[1.0], [0], [1], [1]])), dim=None),
        0,
    ),
}


@pytest.mark.parametrize("name", DIVIDED_BY_ZERO)
def test_a_norm_that_divides_by_zero_counts_the_nan_that_torch_computes_with(name, tmp_path):
    make, count = DIVIDED_BY_ZERO[name]
    layer = make()
    path = _saved(layer, tmp_path / "x.pt")
    weight = _removed(layer)
    assert int(weight.isnan().sum()) == count
    assert torch.equal(effective_weights(path)["layer.weight"].isnan(), weight.isnan())
    found = measure(path)["layer.weight"]
    assert found.nan == count
    assert bool(found.notes) == (count > 0 or found.zero_rows > 0)


EMPTY = {
    "parametrized spectral norm, no row": lambda: parametrizations.spectral_norm(
        Holder(torch.zeros(0, 3))
    ),
    "hooked spectral norm, no column": lambda: _hooked(torch.zeros(3, 0)),
    "parametrized spectral norm, no column": lambda: parametrizations.spectral_norm(
        Holder(torch.zeros(3, 0))
    ),
    "hooked weight norm, no column": lambda: weight_norm(Holder(torch.zeros(3, 0))),
    "parametrized weight norm, no column": lambda: parametrizations.weight_norm(
        Holder(torch.zeros(3, 0))
    ),
}


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors:UserWarning")
@pytest.mark.parametrize("name", EMPTY)
def test_a_norm_of_nothing_is_zero(name, tmp_path):
    layer = EMPTY[name]()
    path = _saved(layer, tmp_path / "x.pt")
    found = measure(path)["layer.weight"]
    assert found.frobenius == 0
    assert found.spectral_norm.value == 0
    assert effective_weights(path)["layer.weight"].shape == _removed(layer).shape


COMPLEX = {
    "parametrized spectral norm": lambda weight: parametrizations.spectral_norm(Holder(weight)),
    "parametrized spectral norm, axis 1": lambda weight: parametrizations.spectral_norm(
        Holder(weight), dim=1
    ),
    "hooked spectral norm": _hooked,
}


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize("name", COMPLEX)
def test_a_complex_norm_equals_torchs(name, dtype, tmp_path):
    layer = COMPLEX[name](_random(5, 4, dtype=dtype))
    path = _saved(layer, tmp_path / "x.pt")
    weight = _removed(layer)
    found = measure(path)["layer.weight"]
    assert torch.equal(effective_weights(path)["layer.weight"], weight)
    exact = torch.linalg.svdvals(weight.to(torch.complex128))[0].item()
    assert found.spectral_norm.value == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("put", [_hooked, lambda w: parametrizations.spectral_norm(Holder(w))])
def test_channels_last_makes_no_difference(put, tmp_path):
    weight = _random(6, 4, 3, 3).to(memory_format=torch.channels_last)
    layer = put(weight)
    path = _saved(layer, tmp_path / "x.pt")
    assert torch.equal(effective_weights(path)["layer.weight"], _removed(layer))


def test_parts_of_two_dtypes_are_computed_in_the_wider_one_with_a_note(tmp_path):
    layer = _hooked(_random(6, 4))
    state = nn.ModuleDict({"layer": layer}).state_dict()
    state["layer.weight_orig"] = half = state["layer.weight_orig"].half()
    torch.save(state, tmp_path / "x.pt")
    sigma = torch.dot(layer.weight_u, torch.mv(half.float(), layer.weight_v))
    found = effective_weights(tmp_path / "x.pt")["layer.weight"]
    torch.testing.assert_close(found, half.float() / sigma, rtol=1e-6, atol=0)
    notes = measure(tmp_path / "x.pt")["layer.weight"].notes
    assert any("float16" in note and "float32" in note for note in notes)


def test_a_negative_sigma_is_measured_and_noted(tmp_path):
    layer = _hooked(_random(6, 4))
    layer.weight_u.neg_()
    path = _saved(layer, tmp_path / "x.pt")
    found = measure(path)["layer.weight"]
    assert found.state.sigma_stored < 0
    assert any("σ" in note for note in found.notes)
    assert torch.equal(effective_weights(path)["layer.weight"], _removed(layer))


def test_a_bare_module_has_keys_without_a_path(tmp_path):
    layer = _hooked(_random(6, 4))
    torch.save(layer.state_dict(), tmp_path / "x.pt")
    assert set(measure(tmp_path / "x.pt")) == {"weight"}


def test_tied_weights_are_each_measured_as_torch_computes_with_them(tmp_path):
    torch.manual_seed(8)
    embedding, head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
    head.weight = embedding.weight
    _forward(spectral_norm(head))
    model = nn.ModuleDict({"embedding": embedding, "head": head})
    torch.save(model.state_dict(), tmp_path / "x.pt")
    weight = _removed(head)
    found = effective_weights(tmp_path / "x.pt")
    assert torch.equal(found["head.weight"], weight)
    assert torch.equal(found["embedding.weight"], embedding.weight.detach())


WRAPPED = {
    "DataParallel": (lambda layer: nn.ModuleDict({"module": layer}), "module.weight"),
    "torch.compile": (lambda layer: nn.ModuleDict({"_orig_mod": layer}), "_orig_mod.weight"),
    "both, in the middle": (
        lambda layer: nn.ModuleDict(
            {"block": nn.ModuleDict({"_orig_mod": nn.ModuleDict({"module": layer})})}
        ),
        "block._orig_mod.module.weight",
    ),
}


@pytest.mark.parametrize("put", [_hooked, lambda w: parametrizations.spectral_norm(Holder(w))])
@pytest.mark.parametrize("name", WRAPPED)
def test_a_wrappers_prefix_stays_in_the_name_and_changes_no_number(name, put, tmp_path):
    wrap, key = WRAPPED[name]
    layer = put(_random(6, 4))
    torch.save({"state_dict": wrap(layer).state_dict(), "epoch": 3}, tmp_path / "x.pt")
    found = effective_weights(tmp_path / "x.pt")
    assert set(found) == {f"state_dict/{key}"}
    assert torch.equal(found[f"state_dict/{key}"], _removed(layer))


def test_an_averaged_model_is_measured_beside_its_counter(tmp_path):
    model = torch.optim.swa_utils.AveragedModel(nn.Linear(4, 3))
    torch.save(model.state_dict(), tmp_path / "x.pt")
    assert set(measure(tmp_path / "x.pt")) == {"module.weight", "module.bias"}


def test_the_number_of_jobs_changes_no_number(tmp_path):
    # torch's kernel for the last axis sums per thread: more threads give other last digits
    layers = [weight_norm(Holder(_random(96, 48, 128)), dim=2) for _ in range(8)]
    path = _saved(nn.ModuleList(layers), tmp_path / "x.pt")
    one, many = (
        normcli.inspect(path, metrics=["frobenius"], jobs=jobs).measurements for jobs in (1, 8)
    )
    assert one == many
