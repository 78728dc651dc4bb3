"""The power iteration against torch's own modules, and the paper's algorithm by hand."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm

from normcli.linalg import normalize, power_iteration
from normcli.linalg import spectral_norm as exact

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_random_start_is_the_one_that_torch_draws(dtype):
    torch.manual_seed(5)
    layer = nn.Linear(30, 20).to(dtype).eval()
    torch.manual_seed(3)
    parametrizations.spectral_norm(layer)
    state = layer.parametrizations.weight
    weight = state.original.detach()
    sigma = torch.vdot(state[0]._u, torch.mv(weight, state[0]._v))
    assert power_iteration(weight, iterations=15, seed=3) == float(sigma)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("steps", [1, 3])
def test_steps_from_a_stored_state_are_those_of_the_parametrized_module(dtype, steps):
    torch.manual_seed(0)
    layer = parametrizations.spectral_norm(nn.Linear(30, 20).to(dtype), n_power_iterations=steps)
    state = layer.parametrizations.weight
    start = (state[0]._u.clone(), state[0]._v.clone())
    weight = state.original.detach()
    layer.train()
    layer.weight  # noqa: B018  reading it takes the steps
    sigma = torch.vdot(state[0]._u, torch.mv(weight, state[0]._v))
    assert power_iteration(weight, iterations=steps, start=start) == float(sigma)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("steps", [1, 3])
def test_steps_from_a_stored_state_are_those_of_the_legacy_hook(dtype, steps):
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(30, 20).to(dtype), n_power_iterations=steps).train()
    start = (layer.weight_u.clone(), layer.weight_v.clone())
    layer(torch.zeros(1, 30, dtype=dtype))
    weight = layer.weight_orig.detach()
    sigma = torch.dot(layer.weight_u, torch.mv(weight, layer.weight_v))
    assert power_iteration(weight, iterations=steps, start=start, legacy=True) == float(sigma)


def test_the_worked_example_comes_out():
    weight = torch.tensor([[-0.4318, 0.1616, -0.1790], [-0.1238, 0.4865, -0.2384]])
    u = torch.tensor([-0.7308, -0.6826])
    v = torch.tensor([0.7406, -0.5292, 0.4142])
    before = power_iteration(weight, iterations=0, start=(u, v))
    after = power_iteration(weight, iterations=1, start=(u, v), legacy=True)
    assert exact(weight / before).value == pytest.approx(1.0274, abs=1e-4)
    assert exact(weight / after).value == pytest.approx(1.0013, abs=1e-4)


@pytest.mark.parametrize("legacy", [False, True])
def test_an_estimate_does_not_exceed_the_norm(legacy):
    weight = torch.randn(40, 30, dtype=torch.float64)
    start = (nn.functional.normalize(torch.randn(40).double(), dim=0),
             nn.functional.normalize(torch.randn(30).double(), dim=0))  # fmt: skip
    norm = exact(weight).value
    for steps in range(12):
        assert power_iteration(weight, iterations=steps, start=start, legacy=legacy) <= norm


@pytest.mark.parametrize(
    "dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.complex64], ids=str
)
def test_dtypes_without_arithmetic_of_their_own_are_widened(dtype):
    weight = torch.randn(20, 30, dtype=torch.complex64 if dtype.is_complex else None).to(dtype)
    assert power_iteration(weight, iterations=300) == pytest.approx(exact(weight).value, rel=1e-3)


def test_empty_and_zero_matrices_give_zero():
    assert power_iteration(torch.zeros(4, 3), iterations=15) == 0
    assert power_iteration(torch.zeros(0, 3), iterations=15) == 0
    assert power_iteration(torch.zeros(3, 0), iterations=15) == 0


@pytest.mark.parametrize("dtype", [*DTYPES, torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize("size", [0, 1, 2, 7, 64, 1000, 70_001])
def test_normalizing_is_that_of_torch_bit_for_bit(dtype, size):
    vector = torch.randn(size, dtype=torch.complex128 if dtype.is_complex else None).to(dtype)
    expected = nn.functional.normalize(vector, dim=0, eps=1e-12)
    assert torch.equal(normalize(vector), expected)


def test_a_zero_vector_stays_zero():
    assert torch.equal(normalize(torch.zeros(3)), torch.zeros(3))
