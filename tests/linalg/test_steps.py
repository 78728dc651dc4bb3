"""The power iteration step by step, against torch's own modules and the one-number function."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm

from normcli.linalg import power_iteration, power_steps

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
MORE = [torch.float8_e4m3fn, torch.complex64, torch.complex128]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_step_is_a_training_forward_of_the_legacy_hook(dtype):
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(30, 20).to(dtype)).train()
    weight = layer.weight_orig.detach()
    start = (layer.weight_u.clone(), layer.weight_v.clone())
    expected = []
    for _ in range(5):
        layer(torch.zeros(1, 30, dtype=dtype))
        expected.append(float(torch.dot(layer.weight_u, torch.mv(weight, layer.weight_v))))
    found = power_steps(weight, iterations=5, start=start, legacy=True)
    assert list(found.values[1:]) == expected
    assert torch.equal(found.end[0], layer.weight_u)
    assert torch.equal(found.end[1], layer.weight_v)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_step_is_a_training_access_of_the_parametrization(dtype):
    torch.manual_seed(0)
    layer = parametrizations.spectral_norm(nn.Linear(30, 20).to(dtype)).train()
    chain = layer.parametrizations.weight
    weight = chain.original.detach()
    start = (chain[0]._u.clone(), chain[0]._v.clone())
    expected = [float(torch.vdot(start[0], torch.mv(weight, start[1])))]
    for _ in range(5):
        layer.weight  # noqa: B018  reading it takes a step
        expected.append(float(torch.vdot(chain[0]._u, torch.mv(weight, chain[0]._v))))
    assert list(power_steps(weight, iterations=5, start=start).values) == expected


@pytest.mark.parametrize("dtype", [*DTYPES, *MORE], ids=str)
@pytest.mark.parametrize("shape", [(12, 9), (1, 9), (9, 1)], ids=str)
def test_after_each_step_stands_what_the_power_iteration_gives(dtype, shape):
    weight = torch.randn(shape, dtype=torch.complex64 if dtype.is_complex else None).to(dtype)
    found = power_steps(weight, iterations=6, seed=3).values
    assert found == tuple(power_iteration(weight, iterations=n, seed=3) for n in range(7))


def test_no_step_is_the_start_alone():
    u, v = torch.tensor([1.0, 0.0]), torch.tensor([0.6, 0.8])
    found = power_steps(torch.diag(torch.tensor([2.0, 1.0])), iterations=0, start=(u, v))
    assert found.values == (pytest.approx(1.2),)
    assert found.end == found.start
