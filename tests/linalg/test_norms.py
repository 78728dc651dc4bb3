"""Frobenius norm, counts and zero rows against float64 torch and against arithmetic by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from normcli.linalg import as_matrix, census, matrix_shape, zero_rows

FLOAT8 = [
    torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz
]  # fmt: skip
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, *FLOAT8]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(3, 4), (513, 517), (2, 3, 4, 5), (7,), (), (0, 5)], ids=str)
def test_frobenius_equals_the_norm_in_double_precision(dtype, shape):
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    exact = math.sqrt(math.fsum(x * x for x in tensor.double().flatten().tolist()))
    assert census(tensor).frobenius == pytest.approx(exact, rel=1e-15)


def test_frobenius_of_complex_entries_counts_both_parts():
    tensor = torch.tensor([[3 + 4j, 0], [0, 12j]], dtype=torch.complex64)
    assert census(tensor).frobenius == 13


def test_half_precision_squares_do_not_overflow():
    assert census(torch.full((300, 300), 300.0).half()).frobenius == 90_000


@pytest.mark.parametrize("scale", [1e300, 1e-300, 1e160, 1e-160])
def test_squares_beyond_double_precision_neither_overflow_nor_vanish(scale):
    tensor = torch.tensor([[3.0, 4.0]], dtype=torch.float64) * scale
    assert census(tensor).frobenius == pytest.approx(5 * scale, rel=1e-15)


def test_entries_that_are_not_finite_are_counted_and_named():
    tensor = torch.ones(400, 400)
    tensor[3, 3] = tensor[9, 9] = math.nan
    tensor[0, 0], tensor[0, 1], tensor[0, 2] = math.inf, -math.inf, math.inf
    found = census(tensor)
    assert (found.nan, found.inf) == (2, 3)
    assert math.isnan(found.frobenius)
    assert census(tensor.nan_to_num(nan=0.0, posinf=math.inf, neginf=1.0)).frobenius == math.inf


def test_a_complex_entry_with_nan_in_one_part_counts_once():
    found = census(torch.tensor([complex(math.nan, math.inf), complex(math.inf, 0), 1]))
    assert (found.nan, found.inf) == (1, 1)


@pytest.mark.parametrize(
    "view",
    [
        torch.randn(8, 6, 5, 3).to(memory_format=torch.channels_last),
        torch.randn(300, 200).T,
        torch.randn(300, 200)[::2, ::3],
        torch.randn(1, 5).expand(4, 5),
    ],
    ids=["channels last", "transposed", "strided", "expanded"],
)
def test_strides_do_not_matter(view):
    assert census(view).frobenius == pytest.approx(float(view.double().norm()), rel=1e-14)


@pytest.mark.parametrize("dtype", [*DTYPES, torch.complex64], ids=str)
def test_zero_rows_are_counted(dtype):
    matrix = torch.ones(700, 300)
    matrix[5] = matrix[699] = 0
    matrix[6, 1:] = 0
    assert zero_rows(matrix.to(dtype)) == 2


def test_a_row_of_nan_is_not_a_zero_row_and_an_empty_one_neither():
    assert zero_rows(torch.tensor([[math.nan, 0.0], [0.0, -0.0]])) == 1
    assert zero_rows(torch.zeros(4, 0)) == 0
    assert zero_rows(torch.zeros(0, 4)) == 0


@settings(max_examples=100, deadline=None)
@given(shape=st.lists(st.integers(0, 4), min_size=1, max_size=5), data=st.data())
def test_the_matrix_of_a_weight_is_what_torch_reshapes_it_to(shape, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    weight = torch.randn(shape)
    others = [size for i, size in enumerate(shape) if i != axis]
    expected = weight.movedim(axis, 0).reshape(shape[axis], math.prod(others))
    assert torch.equal(as_matrix(weight, axis), expected)
    assert matrix_shape(tuple(shape), axis) == tuple(expected.shape)


def test_a_scalar_is_one_by_one_and_a_vector_one_column():
    assert as_matrix(torch.tensor(3.0)).shape == (1, 1) == matrix_shape((), 0)
    assert as_matrix(torch.ones(5)).shape == (5, 1) == matrix_shape((5,), None)
