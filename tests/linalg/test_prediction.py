"""Predicted step counts against power iterations that really take the steps."""

import math

import pytest
import torch

from normcli.linalg import power_steps, predicted_steps, ritz_gap
from normcli.linalg.prediction import quadratures

M, N = 70, 60
SPECTRA = {
    "evenly spaced": [1 - i / 60 for i in range(60)],
    "geometric": [0.97**i for i in range(60)],
    "power law": [(i + 1) ** -0.5 for i in range(60)],
    "one spike": [1.3] + [1 - i / 90 for i in range(59)],
    "cluster at the top": [1, 0.9995, 0.999] + [0.5] * 40,
    "two close values": [1, 0.998] + [0.9] * 40,
    "crowded": [1 - 1e-4 * i for i in range(60)],
    "rank three": [1, 0.995, 0.98],
}
TARGETS = (0.1, 0.01, 0.001, 1e-4)


def orthogonal(size, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(size, size, dtype=torch.float64, generator=generator))[0]


def with_spectrum(values, m=M, n=N, seed=0):
    diagonal = torch.diag(torch.tensor(values, dtype=torch.float64))
    return orthogonal(m, seed)[:, : len(values)] @ diagonal @ orthogonal(n, seed + 1)[: len(values)]


def random_start(seed, m=M, n=N):
    generator = torch.Generator().manual_seed(seed)
    u, v = (torch.randn(size, dtype=torch.float64, generator=generator) for size in (m, n))
    return u / u.norm(), v / v.norm()


def counted(values, norm):
    """Steps until the error is within each target, by taking them; None where they did not do."""
    goals = [norm * (1 - target) for target in TARGETS]
    return [next((n for n, x in enumerate(values) if x >= goal), None) for goal in goals]


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("taken", [0, 1, 20])
@pytest.mark.parametrize("name", SPECTRA)
def test_a_prediction_is_what_a_long_iteration_counts(name, taken, legacy):
    matrix, start = with_spectrum(SPECTRA[name]), random_start(2)
    norm = max(SPECTRA[name])
    long = power_steps(matrix, iterations=3000, start=start, legacy=legacy).values
    now = power_steps(matrix, iterations=taken, start=start, legacy=legacy)
    goals = [norm * (1 - target) for target in TARGETS]
    more = predicted_steps(matrix, now.end, goals, legacy=legacy)
    for count, prediction in zip(counted(long, norm), more, strict=True):
        if count is not None and count > taken:
            assert abs(taken + prediction - count) <= max(1, 0.02 * count)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_rule_is_exact_for_fewer_steps_than_it_has_nodes(legacy):
    matrix, start = with_spectrum(SPECTRA["evenly spaced"]), random_start(5)
    rule = next(iter(quadratures(matrix, start, legacy=legacy)))
    steps = power_steps(matrix, iterations=12, start=start, legacy=legacy).values
    for n in range(1, len(rule.nodes)):
        assert rule.estimate(n) == pytest.approx(steps[n], rel=1e-12)
    assert rule.estimate(len(rule.nodes) + 1) != pytest.approx(
        steps[len(rule.nodes) + 1], rel=1e-12
    )


@pytest.mark.parametrize("shape", [(300, 20), (20, 300)], ids=str)
@pytest.mark.parametrize("legacy", [False, True])
def test_tall_and_wide_matrices_are_predicted_in_single_precision(shape, legacy):
    matrix = with_spectrum([1 - i / 400 for i in range(20)], *shape).float()
    start = tuple(vector.float() for vector in random_start(1, *shape))
    now = power_steps(matrix, iterations=3, start=start, legacy=legacy)
    long = power_steps(matrix, iterations=2000, start=start, legacy=legacy).values
    (more,) = predicted_steps(matrix, now.end, [0.999], legacy=legacy)
    count = next(n for n, value in enumerate(long) if value >= 0.999)
    assert abs(3 + more - count) <= max(1, 0.02 * count)


def test_a_complex_matrix_is_predicted_with_its_conjugates():
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(30, 20, dtype=torch.complex128, generator=generator)
    norm = float(torch.linalg.svdvals(matrix)[0])
    found = power_steps(matrix, iterations=2000, seed=1)
    count = next(n for n, value in enumerate(found.values) if value >= 0.999 * norm)
    (more,) = predicted_steps(matrix, found.start, [0.999 * norm], legacy=False)
    assert abs(more - count) <= 1
    assert predicted_steps(matrix, found.start, [0.999 * norm], legacy=True) == [None]


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_squares_that_no_double_holds_change_nothing(scale):
    matrix, start = with_spectrum(SPECTRA["evenly spaced"]), random_start(2)
    expected = predicted_steps(matrix, start, [0.99, 0.999], legacy=False)
    goals = [0.99 * scale, 0.999 * scale]
    assert predicted_steps(matrix * scale, start, goals, legacy=False) == expected


def test_a_start_without_the_top_vector_never_arrives():
    matrix = torch.diag(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))
    start = torch.tensor([0.0, 0.6, 0.8], dtype=torch.float64)
    found = predicted_steps(matrix, (start, start), [2.0 * (1 - 1e-9), 2.9], legacy=False)
    assert found[0] is not None
    assert found[1] is None


def test_more_than_a_million_steps_are_not_told():
    matrix = torch.diag(torch.tensor([1.0, 1 - 1e-7], dtype=torch.float64))
    start = torch.tensor([1e-3, 1.0], dtype=torch.float64)
    goal = 1 - 1e-9  # (1 − 1e-7)⁴ᵗ has to come down to about 1e-8
    assert predicted_steps(matrix, (start, start), [goal], legacy=False) == [None]


@pytest.mark.parametrize(
    "start", [torch.zeros(4), torch.full((4,), math.nan), torch.full((4,), math.inf)], ids=str
)
def test_a_start_that_is_no_direction_predicts_nothing(start):
    assert predicted_steps(torch.eye(4), (start, start), [0.5], legacy=False) == [None]


@pytest.mark.parametrize("entry", [0.0, math.nan, math.inf])
def test_a_matrix_without_a_norm_predicts_nothing(entry):
    matrix, start = torch.full((3, 3), entry), torch.ones(3)
    assert predicted_steps(matrix, (start, start), [1.0], legacy=True) == [None]


@pytest.mark.parametrize("name", ["evenly spaced", "one spike", "two close values", "rank three"])
def test_the_gap_is_seen_from_a_random_start(name):
    values = SPECTRA[name]
    found = ritz_gap(with_spectrum(values), random_start(0), legacy=False)
    assert found == pytest.approx(values[1] / values[0], rel=2e-3)


def test_rank_one_has_no_second_value():
    assert ritz_gap(with_spectrum([2.0]), random_start(0), legacy=True) == pytest.approx(
        0, abs=1e-7
    )
