"""The probabilistic bound: quantile against scipy, formula by hand, coverage by many runs."""

import math

import pytest
import torch
from scipy.special import betaincinv

from normcli.linalg.bound import (
    beta_quantile,
    component_bound,
    probabilistic_bound,
    smallest_component,
    trailing_energy_bound,
)
from normcli.linalg.krylov import Krylov

SIDE, BLOCK = 120, 4


@pytest.mark.parametrize("side", [10, 100, 4096, 10**6])
@pytest.mark.parametrize("block", [1, 2, 4, 8])
@pytest.mark.parametrize("probability", [0.4, 0.05, 1e-3, 1e-10, 1e-30, 1e-100])
def test_the_beta_quantile_is_that_of_scipy(side, block, probability):
    a, b = block / 2, (side - block) / 2
    assert beta_quantile(a, b, probability) == pytest.approx(
        betaincinv(a, b, probability), rel=1e-9, abs=0
    )


@pytest.mark.parametrize("complex_", [False, True])
def test_the_smallest_component_is_undercut_as_often_as_stated(complex_):
    dtype = torch.complex128 if complex_ else torch.float64
    generator = torch.Generator().manual_seed(1)
    draws = torch.randn(4000, 20, 3, dtype=dtype, generator=generator)
    bases = torch.linalg.qr(draws).Q
    parts = bases[:, 0].abs().square().sum(1)  # ‖Q₁ᴴe₁‖²
    below = float((parts < smallest_component(20, 3, 0.1, complex_=complex_)).double().mean())
    assert below == pytest.approx(0.1, abs=0.02)  # four standard deviations of 4,000 draws


def test_a_block_as_large_as_the_space_misses_nothing():
    assert smallest_component(3, 4, 1e-10, complex_=False) == 1


def spectrum(name):
    """Eigenvalues of A = WᴴW, the largest last."""
    index = torch.arange(1, SIDE + 1, dtype=torch.float64)
    if name == "uniform":
        return index / SIDE
    if name == "chebyshev":
        return 0.5 * (1 - torch.cos(math.pi * (index - 0.5) / SIDE))
    values = {
        "hidden spike": torch.cat([torch.linspace(0, 1, SIDE - 1), torch.tensor([1.02])]),
        "spike far off": torch.cat([torch.linspace(0, 1, SIDE - 1), torch.tensor([4.0])]),
        "triple": torch.cat([torch.linspace(0, 1, SIDE - 3), torch.full((3,), 1.1)]),
    }[name]
    return values.double()


def space_of(values, seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(BLOCK, len(values), dtype=dtype, generator=generator)
    return Krylov(start, dtype, generator)


@pytest.mark.parametrize(
    "name", ["hidden spike", "spike far off", "uniform", "chebyshev", "triple"]
)
def test_the_bound_fails_no_more_often_than_stated_at_any_step(name):
    """At a nominal 0.05, 8 % of 320 starts would be 2.5 standard deviations too many."""
    values = spectrum(name)
    smallest = smallest_component(SIDE, BLOCK, 0.05, complex_=False)
    violations = 0
    for seed in range(320):
        space = space_of(values, seed)
        below = False
        for _ in range(7):
            space.extend(space.newest * values)
            below = below or probabilistic_bound(space.ritz(), smallest) < float(values[-1])
        violations += below
    assert violations <= 0.08 * 320


def test_the_bound_is_not_far_above_what_is_there():
    values = spectrum("spike far off")
    space = space_of(values, 3)
    for _ in range(11):
        space.extend(space.newest * values)
    smallest = smallest_component(SIDE, BLOCK, 1e-10, complex_=False)
    assert probabilistic_bound(space.ritz(), smallest) == pytest.approx(4.0, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
def test_the_component_bound_is_its_definition(dtype):
    """G(x) = max ‖Z₁w‖²/(‖w‖² + ‖Zw‖²), Z = (xI − T)⁻¹EBᴴ, by a dense solver."""
    values = spectrum("uniform")
    space = space_of(values, 5, dtype)
    for _ in range(4):
        space.extend(space.newest * values)
    ritz = space.ritz()
    size = 4 * BLOCK
    projection = space._projection[:size, :size]
    coupling = space._projection[size : size + BLOCK, size - BLOCK : size]
    for x in (ritz.theta * 1.01, ritz.theta * 2, ritz.theta * 100):
        shifted = x * torch.eye(size, dtype=dtype) - projection
        right = torch.zeros(size, BLOCK, dtype=dtype)
        right[-BLOCK:] = coupling.mH
        z = torch.linalg.solve(shifted, right)
        below = torch.eye(BLOCK, dtype=dtype) + z.mH @ z
        quotient = torch.linalg.solve(below, z[:BLOCK].mH @ z[:BLOCK])
        expected = float(torch.linalg.eigvals(quotient).real.max())
        found = component_bound(ritz, torch.tensor([x], dtype=torch.float64))
        assert float(found[0]) == pytest.approx(expected, rel=1e-8)


def test_the_trailing_energy_bounds_the_largest_eigenvalue():
    generator = torch.Generator().manual_seed(2)
    for _ in range(50):
        whole = torch.randn(12, 12, dtype=torch.float64, generator=generator)
        whole = whole @ whole.T
        whole[:4, :4] += 40 * torch.eye(4)
        head = torch.linalg.eigvalsh(whole[:4, :4])[-1]
        coupling = torch.linalg.matrix_norm(whole[4:, :4], 2)
        tail = float(whole.diagonal()[4:].sum())
        bound = trailing_energy_bound(float(head), float(coupling), tail)
        assert float(torch.linalg.eigvalsh(whole)[-1]) <= bound * (1 + 1e-12)


def test_a_tail_that_could_hide_the_top_bounds_nothing():
    assert trailing_energy_bound(1.0, 0.1, 1.0) == math.inf
