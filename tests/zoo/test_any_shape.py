"""Shapes that nobody chose: an effective weight is torch's own, or a note says what is open."""

from __future__ import annotations

import tempfile
from pathlib import Path

import modules
import pytest
import torch
from exhibits import effective_weights, measure
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

import normcli


class Holder(nn.Module):
    """A module that has a weight and nothing else."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)


SHAPES = st.lists(st.integers(1, 5), min_size=2, max_size=5).map(tuple)
DTYPES = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16])


@st.composite
def weights(draw):
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    shape = draw(SHAPES)
    return torch.randn(shape, generator=generator).to(draw(DTYPES)), draw(
        st.integers(0, len(shape) - 1)
    )


def _reported(module):
    """(effective weight, measurement) of normcli for a module that is called `layer`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.pt"
        torch.save(nn.ModuleDict({"layer": module}).state_dict(), path)
        return effective_weights(path)["layer.weight"], measure(path)["layer.weight"]


def _settled(module):
    modules._train(module, "weight")
    return module


@settings(max_examples=30, deadline=None)
@given(weights())
@pytest.mark.parametrize("put", [weight_norm, parametrizations.weight_norm])
def test_weight_norm_of_any_shape_and_axis_is_what_torch_computes(put, drawn):
    weight, dim = drawn
    module = put(Holder(weight.clone()), dim=dim)
    found, measurement = _reported(module)
    truth = modules._taken_off(module.eval(), "weight")
    if measurement.state.dim == dim:
        assert torch.equal(found, truth)
    # g has one entry where the weight has size 1: any such axis, and rounding, may be another
    assert weight.shape[dim] == 1 or measurement.state.dim == dim
    torch.testing.assert_close(found, truth, equal_nan=True)


@settings(max_examples=30, deadline=None)
@given(weights())
@pytest.mark.parametrize("put", [spectral_norm, parametrizations.spectral_norm])
def test_spectral_norm_of_any_shape_is_torchs_or_its_open_axis_is_said(put, drawn):
    weight, dim = drawn
    module = _settled(put(Holder(weight.clone()), dim=dim))
    found, measurement = _reported(module)
    truth = modules._taken_off(module.eval(), "weight")
    if measurement.state.dim == dim:
        assert torch.equal(found, truth)
    else:
        same = torch.allclose(found.double(), truth.double(), rtol=0.05, atol=1e-6)
        assert same or any("--dim" in note for note in measurement.notes)


@settings(max_examples=30, deadline=None)
@given(weights())
def test_an_axis_from_outside_settles_what_the_file_leaves_open(drawn):
    weight, dim = drawn
    torch.manual_seed(0)
    module = spectral_norm(Holder(weight.clone()), dim=dim)  # fresh: u and v tell nothing
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.pt"
        torch.save(module.state_dict(), path)
        report = normcli.inspect(path, dims={"weight": dim}, sha256=False)
    truth = modules._taken_off(module, "weight")
    (measurement,) = report.measurements
    assert measurement.state.dim == dim
    matrix = modules.matrix_of(truth, dim)
    assert measurement.matrix_shape == tuple(matrix.shape)
    if matrix.isfinite().all():
        assert measurement.frobenius == pytest.approx(matrix.norm().item(), rel=1e-12)
        exact = torch.linalg.svdvals(matrix)[0].item()
        assert measurement.spectral_norm.value == pytest.approx(exact, rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(weights(), st.sampled_from([1.0, 1e-3, 2.0**-13, 1e3]))
def test_the_norms_of_any_weight_are_ordered_and_scale_with_it(drawn, factor):
    weight = drawn[0].double() * factor
    _, found = _reported(Holder(weight))
    _, unscaled = _reported(Holder(drawn[0].double()))
    sigma, rank = found.spectral_norm, min(found.matrix_shape)
    assert sigma.lower <= found.frobenius * (1 + 1e-12)
    assert found.frobenius <= rank**0.5 * sigma.upper * (1 + 1e-12)
    assert 1 - 1e-6 <= found.stable_rank <= rank * (1 + 1e-6)
    assert found.power_iteration.value <= sigma.upper * (1 + 1e-12)
    assert found.frobenius == pytest.approx(unscaled.frobenius * factor, rel=1e-12)
    assert sigma.value == pytest.approx(unscaled.spectral_norm.value * factor, rel=1e-9)
