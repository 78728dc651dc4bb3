"""σ₁ against singular values that were chosen, and against LAPACK in float64."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from normcli.errors import UsageError
from normcli.linalg import spectral_norm

FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
FLOAT8 = [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz]
COMPLEX = [torch.complex64, torch.complex128]


def lapack(matrix):
    dtype = torch.complex128 if matrix.is_complex() else torch.float64
    return float(torch.linalg.svdvals(matrix.to(dtype))[0])


def random(shape, dtype, seed=0):
    generator = torch.Generator().manual_seed(seed)
    source = torch.complex128 if dtype.is_complex else torch.float64
    return torch.randn(shape, dtype=source, generator=generator).to(dtype)


def orthogonal(n, seed):
    return torch.linalg.qr(random((n, n), torch.float64, seed))[0]


def with_singular_values(values, m, n, seed=0):
    k = len(values)
    diagonal = torch.diag(torch.tensor(values, dtype=torch.float64))
    return orthogonal(m, seed)[:, :k] @ diagonal @ orthogonal(n, seed + 1)[:, :k].T


def assert_bracket_holds(found, exact, rtol=1e-9):
    assert found.lower <= exact <= found.upper
    assert found.lower <= found.value <= found.upper
    assert found.value == pytest.approx(exact, rel=rtol, abs=0)
    assert found.upper <= exact * (1 + 1e-8)
    assert found.lower >= exact * (1 - 1e-8)
    assert found.failure_probability == 0


@pytest.mark.parametrize(
    "shape", [(40, 60), (60, 40), (50, 50), (7, 300), (2, 2), (300, 7)], ids=str
)
@pytest.mark.parametrize("dtype", FLOATS + FLOAT8 + COMPLEX, ids=str)
def test_the_bracket_holds_the_value_of_lapack(shape, dtype):
    matrix = random(shape, dtype)
    assert_bracket_holds(spectral_norm(matrix), lapack(matrix))


CHOSEN = {
    "spread": [3.0, 1.0, 0.5],
    "identity": [1.0] * 20,
    "rank one": [2.0],
    "cluster": [1.0, 1.0 - 1e-9, 1.0 - 2e-9, 0.1],
    "tight cluster": [1.0 + 1e-12 * i for i in range(20)],
    "two scales": [1e3, 1e-12],
    "graded": [10.0**-i for i in range(20)],
}


@pytest.mark.parametrize("values", CHOSEN.values(), ids=CHOSEN)
def test_chosen_singular_values_come_out(values):
    matrix = with_singular_values(values, 50, 30)
    found = spectral_norm(matrix)
    assert found.value == pytest.approx(max(values), rel=1e-12)
    assert found.lower * (1 - 1e-14) <= max(values) <= found.upper * (1 + 1e-14)


def outlier():
    matrix = torch.ones(300, 100)
    matrix[17, 23] = 1e4
    return matrix


def hilbert(n):
    index = torch.arange(n, dtype=torch.float64)
    return 1 / (index[:, None] + index[None, :] + 1)


def decades(n):
    return torch.logspace(-30, 30, n, dtype=torch.float64)


ADVERSARIES = {
    "identity": torch.eye(80),
    "all ones": torch.ones(60, 90),
    "ones and one outlier": outlier(),
    "hilbert": hilbert(40),
    "graded columns": (random((60, 40), torch.float64) * decades(40)).float(),
    "graded rows": (random((40, 60), torch.float64) * decades(40)[:, None]).float(),
    "huge": random((30, 20), torch.float64) * 1e300,
    "tiny": random((30, 20), torch.float64) * 1e-290,
    "float64 subnormals": random((30, 20), torch.float64) * 1e-310,
    "float32 subnormals": random((30, 20), torch.float64).mul(1e-40).float(),
    "largest halves": torch.full((90, 70), 65504.0).half(),
    "transposed": random((30, 70), torch.float32).T,
    "strided": random((60, 90), torch.float32)[::2, ::3],
    "expanded": random((1, 40), torch.float32).expand(30, 40),
}


@pytest.mark.parametrize("name", ADVERSARIES)
def test_the_bracket_holds_on_matrices_made_to_break_it(name):
    matrix = ADVERSARIES[name]
    scale = 2.0 ** math.floor(math.log2(float(matrix.double().abs().max())))
    exact = float(torch.linalg.svdvals(matrix.double() / scale)[0]) * scale
    assert_bracket_holds(spectral_norm(matrix), exact)


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (1, 1)], ids=str)
@pytest.mark.parametrize("dtype", FLOATS + FLOAT8 + COMPLEX, ids=str)
def test_a_single_row_or_column_has_its_length_as_norm(shape, dtype):
    matrix = random(shape, dtype)
    found = spectral_norm(matrix)
    assert found.method == "vector"
    assert_bracket_holds(found, lapack(matrix))


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)], ids=str)
def test_a_matrix_without_entries_has_norm_zero(shape):
    found = spectral_norm(torch.empty(shape))
    assert (found.value, found.lower, found.upper, found.method) == (0, 0, 0, "empty")


def test_a_zero_matrix_has_norm_zero():
    assert spectral_norm(torch.zeros(4, 5)).value == 0
    assert spectral_norm(torch.zeros(4, 5)).method == "zero"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_entry_that_is_not_finite_gives_nan_and_no_exception(bad):
    matrix = torch.ones(5, 4)
    matrix[2, 1] = bad
    found = spectral_norm(matrix)
    assert math.isnan(found.value)
    assert math.isnan(found.lower)
    assert math.isnan(found.upper)
    assert found.method == "non-finite"


def test_the_gap_is_the_ratio_of_the_two_largest_singular_values():
    assert spectral_norm(with_singular_values([4.0, 3.0, 1.0], 20, 10)).gap == pytest.approx(0.75)


def test_the_matrix_is_left_as_it_was():
    matrix = random((20, 30), torch.float32)
    before = matrix.clone()
    spectral_norm(matrix)
    assert torch.equal(matrix, before)


@settings(max_examples=60, deadline=None)
@given(
    m=st.integers(1, 12), n=st.integers(1, 12), seed=st.integers(0, 2**32 - 1),
    exponent=st.integers(-250, 250),
)  # fmt: skip
def test_scaling_by_a_power_of_two_scales_the_norm_exactly(m, n, seed, exponent):
    matrix = random((m, n), torch.float64, seed)
    assert (
        spectral_norm(matrix * 2.0**exponent).value == spectral_norm(matrix).value * 2.0**exponent
    )


@settings(max_examples=60, deadline=None)
@given(m=st.integers(1, 12), n=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_the_norm_lies_between_frobenius_over_root_rank_and_frobenius(m, n, seed):
    matrix = random((m, n), torch.float64, seed)
    frobenius = float(matrix.norm())
    found = spectral_norm(matrix).value
    assert frobenius / math.sqrt(min(m, n)) <= found * (1 + 1e-12)
    assert found <= frobenius * (1 + 1e-12)


@pytest.mark.parametrize("matrix", [torch.ones(3), torch.ones(2, 3, 4), torch.ones(2, 2).int()])
def test_what_is_no_matrix_of_numbers_is_refused(matrix):
    with pytest.raises(UsageError, match="expected 2 axes of a floating or complex dtype"):
        spectral_norm(matrix)


def test_a_parameter_is_measured_without_its_gradient():
    layer = torch.nn.Linear(5, 4)
    assert spectral_norm(layer.weight).value == pytest.approx(lapack(layer.weight.detach()))
    assert layer.weight.grad is None
