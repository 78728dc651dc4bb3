"""The trained checkpoints of the repository, as torch reads them and as normcli does."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest
import torch
from exhibits import effective_weights, measure
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils import remove_spectral_norm, remove_weight_norm
from torch.nn.utils.parametrize import remove_parametrizations

import normcli

FOLDER = Path(__file__).parents[2] / "sample_checkpoints"


@pytest.fixture(scope="module")
def make():
    """The script that made them, for its modules."""
    spec = importlib.util.spec_from_file_location("sample_checkpoints_make", FOLDER / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _bare(module):
    """The module with its norms taken off by torch itself."""
    for layer in module.eval().modules():
        if hasattr(layer, "weight_u"):
            remove_spectral_norm(layer)
        elif hasattr(layer, "weight_g"):
            remove_weight_norm(layer)
        elif hasattr(layer, "parametrizations"):
            remove_parametrizations(layer, "weight")
    return module.state_dict()


def _legacy_truth(make, name):
    """`G/…` and `D/…` → effective weight of a file with both state dicts."""
    loaded = torch.load(FOLDER / name, weights_only=True)
    found = {}
    for section, module in (("G", make.LegacyGenerator()), ("D", make.LegacyDiscriminator())):
        module.load_state_dict(loaded[section], strict=True)
        found |= {f"{section}/{key}": value for key, value in _bare(module).items()}
    return found


def _assert_same_weights(found, truth):
    assert set(found) == set(truth)
    for name, weight in truth.items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", ["sngan.pt", "sngan-defect.pt"])
def test_the_effective_weights_of_the_legacy_model_are_torchs(make, name):
    _assert_same_weights(effective_weights(FOLDER / name), _legacy_truth(make, name))


def test_the_effective_weights_of_the_parametrized_model_are_torchs(make):
    module = nn.ModuleDict(
        {"G": make.ParametrizedGenerator(), "D": make.ParametrizedDiscriminator()}
    )
    path = FOLDER / "sngan-parametrized.pt"
    module.load_state_dict(torch.load(path, weights_only=True), strict=True)
    _assert_same_weights(effective_weights(path), _bare(module))


def test_the_shards_measure_as_the_file_that_they_were_cut_from():
    whole = {
        name.replace("/", ".", 1): each.to_record() | {"name": ""}
        for name, each in measure(FOLDER / "sngan.pt").items()
    }
    sharded = measure(FOLDER / "sngan-sharded")
    assert {name: each.to_record() | {"name": ""} for name, each in sharded.items()} == whole


@pytest.mark.parametrize(
    "name", ["model-00001-of-00002.safetensors", "model.safetensors.index.json"]
)
def test_one_shard_or_the_index_stands_for_all(name):
    assert set(measure(FOLDER / "sngan-sharded" / name)) == set(measure(FOLDER / "sngan-sharded"))


def test_optimizer_states_are_no_weights():
    report = normcli.inspect(FOLDER / "sngan.pt", everything=True)
    assert not [each for each in report.measurements if each.section.startswith("optim")]
    skipped = {each.name.split("/")[0] for each in report.skipped}
    assert {"optim_G", "optim_D"} <= skipped
    assert all("optimizer" in e.reason for e in report.skipped if e.name.startswith("optim"))


@pytest.mark.parametrize(
    ("name", "dim"),
    [("G.mix.weight", 0), ("G.up.weight", 1), ("D.rows.weight", 2), ("G.out.weight", 0)],
)
def test_the_row_axes_are_those_of_the_modules(name, dim):
    assert measure(FOLDER / "sngan-parametrized.pt")[name].state.dim == dim


def test_the_square_layer_says_how_its_axis_was_found():
    notes = measure(FOLDER / "sngan-parametrized.pt")["G.mix.weight"].notes
    assert any("axis 0 by value" in note for note in notes)


def test_every_healthy_spectral_layer_is_close_to_norm_one():
    for name in ("sngan.pt", "sngan-parametrized.pt"):
        found = [
            each
            for each in measure(FOLDER / name).values()
            if each.state is not None and each.state.family == "spectral"
        ]
        assert len(found) >= 3
        for each in found:
            assert each.spectral_norm.value == pytest.approx(1, abs=0.05)
            assert not [note for note in each.notes if "stale" in note]


def test_the_defects_are_found_and_said():
    found = measure(FOLDER / "sngan-defect.pt")
    assert found["G/out.weight"].nan == 1
    assert math.isnan(found["G/out.weight"].frobenius)
    assert found["G/fc.weight"].zero_rows == 1
    for name in ("D/conv1.weight", "D/conv2.weight"):
        state = found[name].state
        assert state.u_norm < 0.5
        assert state.staleness > 0.9
        assert any("stale" in note for note in found[name].notes)
    assert all(found[name].notes for name in ("G/out.weight", "G/fc.weight"))


def test_the_classifier_measures_as_its_tensors_in_float64():
    path = FOLDER / "classifier-bf16.safetensors"
    found = measure(path)
    for name, tensor in load_file(path).items():
        matrix = tensor.double().reshape(len(tensor), -1)
        assert found[name].dtype == "bfloat16"
        assert found[name].frobenius == pytest.approx(matrix.norm().item(), rel=1e-12)
        exact = torch.linalg.svdvals(matrix)[0].item()
        assert found[name].spectral_norm.value == pytest.approx(exact, rel=1e-9)


def test_measuring_again_gives_the_same_numbers_to_the_last_digit():
    # a fresh thread of a pool starts with the number of threads that its library likes
    path = FOLDER / "sngan.pt"
    reports = [normcli.inspect(path, jobs=jobs, sha256=False) for jobs in (1, 2, 4) * 10]
    assert not [each for each in reports if each.measurements != reports[0].measurements]
