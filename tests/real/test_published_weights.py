"""Checkpoints that other people published, against torch's and safetensors' own readers."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils import remove_weight_norm, weight_norm

import normcli

pytestmark = pytest.mark.real

FCPE, SILERO, LPIPS = "torchfcpe==0.0.4", "silero-vad==6.2.3", "lpips==0.1.4"
LPIPS_FILES = [f"v0.{minor}/{net}.pth" for minor in (0, 1) for net in ("alex", "squeeze", "vgg")]


def _measured(path):
    report = normcli.inspect(path, everything=True)
    return report, {each.name: each for each in report.measurements}


def _assert_measures_as(measurement, tensor):
    """The numbers of one plain tensor, in float64."""
    assert measurement.shape == tuple(tensor.shape)
    assert measurement.dtype == str(tensor.dtype).removeprefix("torch.")
    matrix = tensor.double().reshape(len(tensor) if tensor.ndim else 1, -1)
    assert measurement.frobenius == pytest.approx(matrix.norm().item(), rel=1e-12)
    assert measurement.nan == int(matrix.isnan().sum())
    exact = torch.linalg.matrix_norm(matrix, ord=2).item()
    assert measurement.spectral_norm.value == pytest.approx(exact, rel=1e-9)
    assert measurement.spectral_norm.lower <= exact * (1 + 1e-12)
    assert measurement.spectral_norm.upper >= exact * (1 - 1e-12)


@pytest.fixture(scope="module")
def fcpe(unpacked):
    return unpacked(FCPE) / "torchfcpe" / "assets" / "fcpe_c_v001.pt"


@pytest.fixture(scope="module")
def fcpe_state(fcpe):
    return torch.load(fcpe, map_location="cpu", weights_only=True)["model"]


def test_fcpe_keeps_its_weight_norm_under_the_weights_name(fcpe, fcpe_state):
    report, found = _measured(fcpe)
    assert report.format == "torch-zip"
    plain = {key for key in fcpe_state if not key.endswith(("weight_g", "weight_v"))}
    assert set(found) == {f"model/{key}" for key in plain | {"output_proj.weight"}}
    state = found["model/output_proj.weight"].state
    assert (state.family, state.layout, state.dim) == ("weight", "legacy", 0)
    g = fcpe_state["output_proj.weight_g"]
    assert (state.g_min, state.g_max) == (g.min().item(), g.max().item())


def test_the_projection_of_fcpe_has_the_norms_of_what_torch_computes_with(fcpe, fcpe_state):
    layer = weight_norm(nn.Linear(512, 360))
    layer.load_state_dict(
        {key: fcpe_state[f"output_proj.{key}"] for key in ("bias", "weight_g", "weight_v")}
    )
    weight = remove_weight_norm(layer).weight.detach()
    _, found = _measured(fcpe)
    projection = found["model/output_proj.weight"]
    _assert_measures_as(projection, weight)
    assert projection.spectral_norm.value == pytest.approx(18.2588, abs=5e-5)
    assert projection.frobenius == pytest.approx(26.9953, abs=5e-5)


def test_every_plain_tensor_of_fcpe_measures_as_torch_loads_it(fcpe, fcpe_state):
    _, found = _measured(fcpe)
    for key, tensor in fcpe_state.items():
        if not key.endswith(("weight_g", "weight_v")):
            _assert_measures_as(found[f"model/{key}"], tensor)


def test_every_tensor_of_silero_measures_as_safetensors_loads_it(unpacked):
    path = unpacked(SILERO) / "silero_vad" / "data" / "silero_vad_16k.safetensors"
    report, found = _measured(path)
    tensors = load_file(path)
    assert report.format == "safetensors"
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        _assert_measures_as(found[name], tensor)


@pytest.mark.filterwarnings("ignore:.*torch.jit.load.*:DeprecationWarning")
def test_every_tensor_of_a_torchscript_archive_measures_as_torch_loads_it(unpacked):
    path = unpacked(SILERO) / "silero_vad" / "data" / "silero_vad.jit"
    report, found = _measured(path)
    assert report.format == "torchscript"
    tensors = torch.jit.load(path, map_location="cpu").state_dict()
    assert set(tensors) <= set(found)
    for name, tensor in tensors.items():
        _assert_measures_as(found[name], tensor)


@pytest.mark.parametrize("name", LPIPS_FILES)
def test_every_tensor_of_a_legacy_pickle_measures_as_torch_loads_it(unpacked, name):
    path = unpacked(LPIPS) / "lpips" / "weights" / name
    report, found = _measured(path)
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    assert report.format == "torch-legacy"
    assert set(found) == set(tensors)
    for key, tensor in tensors.items():
        _assert_measures_as(found[key], tensor)
