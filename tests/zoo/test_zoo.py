"""Every exhibit of the zoo, measured by normcli and by torch."""

from __future__ import annotations

import math

import modules
import pytest
import torch
from exhibits import measure
from safetensors.torch import save_file

EPS = {name: torch.finfo(getattr(torch, name)).eps for name in modules.DTYPES}
SPECTRAL = [case for case in modules.CASES if "spectral" in case.families]
WEIGHT_NORM = [case for case in modules.CASES if case.families == ("weight",)]
ONE_DTYPE = [case for case in modules.CASES if case.dtype == "float32"]


def _singular_value(matrix: torch.Tensor) -> float:
    return torch.linalg.svdvals(matrix)[0].item()


def _state_values(exhibit, case):
    """What normcli says of each norm of the exhibit, in the order in which they act."""
    state = exhibit(case).measurements[case.key].state
    return state.stack or (state,)


@pytest.mark.parametrize("case", modules.CASES, ids=str)
def test_effective_weight_equals_what_torchs_removal_leaves(exhibit, case):
    shown = exhibit(case)
    assert torch.equal(shown.effective[case.key], shown.truth.weight)


@pytest.mark.parametrize("case", modules.CASES, ids=str)
def test_a_weight_goes_by_its_own_name_shape_and_dtype(exhibit, case):
    shown = exhibit(case)
    assert not [name for name in shown.measurements if name.endswith(("_orig", "_u", "_v", "_g"))]
    assert not [name for name in shown.measurements if "parametrizations" in name]
    measurement = shown.measurements[case.key]
    assert measurement.shape == tuple(shown.truth.weight.shape)
    assert measurement.dtype == case.dtype
    assert measurement.parameters == shown.truth.weight.numel()
    assert measurement.matrix_shape == tuple(shown.truth.matrix.shape)
    assert (measurement.nan, measurement.inf) == (0, 0)


@pytest.mark.parametrize("case", modules.CASES, ids=str)
def test_norms_equal_those_of_a_float64_decomposition(exhibit, case):
    shown = exhibit(case)
    measurement, matrix = shown.measurements[case.key], shown.truth.matrix
    exact = _singular_value(matrix)
    assert measurement.frobenius == pytest.approx(matrix.norm().item(), rel=1e-12)
    found = measurement.spectral_norm
    assert found.value == pytest.approx(exact, rel=1e-9)
    # the decomposition itself is right to a few units of the last place
    assert found.lower <= exact * (1 + 1e-13)
    assert found.upper >= exact * (1 - 1e-13)
    assert found.lower <= found.value <= found.upper <= found.lower * (1 + 1e-6)
    assert measurement.stable_rank == pytest.approx((matrix.norm().item() / exact) ** 2, rel=1e-8)


@pytest.mark.parametrize("case", modules.CASES, ids=str)
def test_the_state_says_which_norms_the_file_holds_and_their_row_axis(exhibit, case):
    shown = exhibit(case)
    if case.layout == "plain":
        assert shown.measurements[case.key].state is None
        return
    spelling = modules.LAYOUTS[case.layout].spelling
    for found, norm in zip(_state_values(exhibit, case), shown.truth.norms, strict=True):
        assert (found.family, found.layout) == (norm.family, spelling)
        assert found.dim in norm.dims


@pytest.mark.parametrize("case", SPECTRAL, ids=str)
def test_spectral_values_equal_those_of_torchs_own_objects(exhibit, case):
    norms = exhibit(case).truth.norms
    for found, norm in zip(_state_values(exhibit, case), norms, strict=True):
        if norm.family == "spectral":
            assert found.sigma_stored == norm.sigma
            assert found.u_norm == pytest.approx(norm.u.double().norm().item(), rel=1e-12)
            assert found.v_norm == pytest.approx(norm.v.double().norm().item(), rel=1e-12)


@pytest.mark.parametrize("case", SPECTRAL, ids=str)
def test_staleness_is_the_share_of_the_original_spectral_norm_that_sigma_misses(exhibit, case):
    shown = exhibit(case)
    norm, found = shown.truth.norms[-1], shown.measurements[case.key].state
    exact = _singular_value(modules.matrix_of(norm.original, norm.dims[0]))
    assert found.original_spectral_norm == pytest.approx(exact, rel=1e-9)
    assert found.staleness == pytest.approx(1 - norm.sigma / exact, abs=1e-9)


@pytest.mark.parametrize("case", WEIGHT_NORM, ids=str)
def test_weight_norm_reports_the_range_of_g(exhibit, case):
    (norm,), (found,) = exhibit(case).truth.norms, _state_values(exhibit, case)
    assert (found.g_min, found.g_max) == (norm.g.min().item(), norm.g.max().item())


@pytest.mark.parametrize("case", modules.CASES, ids=str)
def test_power_iteration_takes_the_steps_that_torch_would_take_next(exhibit, case):
    shown = exhibit(case)
    found = shown.measurements[case.key].power_iteration
    stored = bool(case.families) and case.families[-1] == "spectral"
    assert (found.start, found.iterations) == (("stored", 1) if stored else ("random", 15))
    # one rounding of each of the matrix, the product and σ, in the stored dtype
    assert found.value == pytest.approx(shown.truth.power, rel=4 * EPS[case.dtype])
    exact = _singular_value(shown.truth.matrix)
    assert found.relative_error == pytest.approx(1 - found.value / exact, abs=1e-9)


@pytest.mark.parametrize("case", ONE_DTYPE, ids=str)
def test_safetensors_without_metadata_measures_the_same(exhibit, case, tmp_path):
    shown = exhibit(case)
    tensors = torch.load(shown.path, weights_only=True)
    save_file(
        {key: value.contiguous() for key, value in tensors.items()}, tmp_path / "x.safetensors"
    )
    measurement = measure(tmp_path / "x.safetensors")[case.key]
    assert measurement == shown.measurements[case.key]


@pytest.mark.parametrize("case", ONE_DTYPE, ids=str)
def test_a_normed_weight_measures_as_the_plain_one_that_removal_leaves(exhibit, case, tmp_path):
    shown = exhibit(case)
    torch.save({case.key: shown.truth.weight}, tmp_path / "plain.pt")
    plain = measure(tmp_path / "plain.pt")[case.key]
    normed = shown.measurements[case.key]
    assert plain.state is None
    assert (plain.frobenius, plain.nan, plain.inf) == (normed.frobenius, normed.nan, normed.inf)
    if shown.truth.rows == 0:
        assert plain.spectral_norm.value == pytest.approx(normed.spectral_norm.value, rel=1e-12)
        assert plain.zero_rows == normed.zero_rows


def test_the_zoo_has_sixteen_kinds_in_four_dtypes_and_every_layout():
    assert len({case.kind for case in modules.CASES}) >= 16
    assert {case.dtype for case in modules.CASES} == set(modules.DTYPES)
    assert {case.layout for case in modules.CASES} == set(modules.LAYOUTS)


def test_no_exhibit_is_degenerate(exhibit):
    for case in ONE_DTYPE:
        weight = exhibit(case).truth.weight
        assert weight.isfinite().all()
        assert math.isfinite(exhibit(case).truth.power)
