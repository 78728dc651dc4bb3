"""The recurrence, the products and the schedule that block Lanczos is made of."""

import pytest
import torch

from normcli.linalg.cost import Price
from normcli.linalg.krylov import Krylov
from normcli.linalg.lanczos import block_lanczos, random_space
from normcli.linalg.products import Gram
from normcli.stream import alone, crew

PRICE = Price(dense=1.0, step=1e-2)  # a step that is dear beside a look


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def wide(matrix):
    return matrix.to(torch.complex128 if matrix.is_complex() else torch.float64)


def random(*shape, dtype=torch.float64, seed=0):
    source = torch.complex128 if dtype.is_complex else torch.float64
    return torch.randn(shape, dtype=source, generator=generator(seed)).to(dtype)


def grown(product, side, steps, dtype=torch.float64, block=4):
    space = Krylov(random(block, side, dtype=dtype, seed=9), dtype, generator())
    for _ in range(steps):
        space.extend(product(space.newest))
    return space


def columns(space):
    return wide(space._vectors[: space._size + space.width]).T


def gaussian_products(dtype):
    matrix = random(90, 80, dtype=dtype) / 9
    return Gram(matrix, dtype, (1.0, 1.0), alone), wide(matrix).mH @ wide(matrix)


@pytest.mark.parametrize(
    ("dtype", "rtol"),
    [
        (torch.float64, 1e-13),
        (torch.complex128, 1e-13),
        (torch.float32, 1e-6),
        (torch.complex64, 1e-6),
    ],
    ids=str,
)
def test_the_recurrence_holds(dtype, rtol):
    product, a = gaussian_products(dtype)
    space = grown(product, 80, 12, dtype)
    size, width = space._size, space.width
    basis = columns(space)
    right = basis[:, :size] @ space._projection[:size, :size]
    right[:, -width:] += basis[:, size:] @ space.coupling
    assert float((a @ basis[:, :size] - right).abs().max()) < rtol * float(a.abs().max()) * 30
    identity = torch.eye(size + width, dtype=basis.dtype)
    assert float((basis.mH @ basis - identity).abs().max()) < rtol * 10


def test_the_basis_stays_orthogonal_for_a_hundred_steps_of_float32():
    values = torch.cat([torch.linspace(0, 1, 597), torch.tensor([4.0, 9.0, 30.0])])
    space = grown(lambda rows: rows * values, 600, 100, torch.float32)
    basis = columns(space)
    error = basis.T @ basis - torch.eye(basis.shape[1])
    assert float(error.abs().max()) < 2e-6


@pytest.mark.parametrize("rank", [1, 3, 4, 9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64], ids=str)
def test_directions_that_do_not_exist_are_replaced(rank, dtype):
    factor = random(60, rank, dtype=dtype, seed=3)
    a = factor @ factor.mH
    space = grown(lambda rows: rows @ a.T, 60, 8, dtype)
    basis = columns(space)
    size = basis.shape[1]
    assert float((basis.mH @ basis - torch.eye(size)).abs().max()) < 1e-5
    top = float(torch.linalg.eigvalsh(wide(a))[-1])
    assert space.ritz().theta == pytest.approx(top, rel=1e-5)
    assert space.ritz().coupling <= 1e-5 * top


def test_the_images_that_it_states_are_those_of_the_matrix():
    product, a = gaussian_products(torch.float64)
    space = grown(product, 80, 6)
    chosen = space.random_coefficients(3)
    expected = space.combine(chosen) @ a.T
    assert torch.allclose(space.image(chosen), expected, rtol=1e-11, atol=1e-11)


def test_its_energy_is_the_trace_of_the_projection():
    product, _ = gaussian_products(torch.float64)
    space = grown(product, 80, 5)
    basis = columns(space)[:, : space._size]
    matrix = random(90, 80) / 9
    assert space.ritz().energy == pytest.approx(float((matrix @ basis).square().sum()), rel=1e-12)


MATRICES = {
    "tall": random(700, 60),
    "square": random(300, 300),
    "wide": random(60, 200),
    "very wide": random(20, 5000),
    "one panel": random(3, 4),
    "tall float32": random(3000, 90, dtype=torch.float32),
    "very wide float32": random(90, 3000, dtype=torch.float32),
    "bfloat16": random(700, 400, dtype=torch.bfloat16),
    "float16 very wide": random(30, 4000, dtype=torch.float16),
    "float8": random(700, 400, dtype=torch.float8_e4m3fn),
    "complex64": random(700, 60, dtype=torch.complex64),
    "complex128 very wide": random(20, 900, dtype=torch.complex128),
}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.5, 0.25), (2.0**-70, 2.0**-60)], ids=str)
def test_products_by_panels_are_products(name, scale):
    matrix = MATRICES[name]
    exact = wide(matrix)
    a = exact @ exact.mH if name.split()[0] == "very" or "very" in name else exact.mH @ exact
    for dtype in {exact.dtype, torch.complex64 if matrix.is_complex() else torch.float32}:
        gram = Gram(matrix * 1.0 if matrix.itemsize > 1 else matrix, dtype, scale, alone)
        rows = random(4, gram.side, dtype=dtype, seed=7)
        factor = (scale[0] * scale[1]) ** 2
        expected = wide(rows) @ (a * factor).T
        rtol = 1e-12 if dtype == exact.dtype else 3e-6
        size = float(expected.abs().max())
        if dtype != exact.dtype and size < 1e-37:
            continue  # float32 has no such numbers
        assert float((wide(gram(rows)) - expected).abs().max()) <= rtol * size
        applied, images = gram.with_images(rows)
        assert torch.equal(images, gram.image(rows))
        assert float((wide(applied) - expected).abs().max()) <= rtol * size
        length = float(torch.linalg.vector_norm(wide(images)))
        quotient = (wide(rows).conj() * expected).sum().real
        assert length**2 == pytest.approx(float(quotient), rel=10 * rtol)


@pytest.mark.parametrize("workers", [2, 3, 8])
@pytest.mark.parametrize("shape", [(3000, 500), (100, 30000)], ids=str)
def test_products_do_not_depend_on_the_number_of_threads(workers, shape):
    matrix = random(*shape, dtype=torch.float32)
    one = Gram(matrix, torch.float32, (1.0, 1.0), alone)
    rows = random(4, one.side, dtype=torch.float32, seed=1)
    with crew(workers, lambda: torch.set_num_threads(1)) as together:
        several = Gram(matrix, torch.float32, (1.0, 1.0), together)
        assert torch.equal(several(rows), one(rows))
        assert torch.equal(several.image(rows), one.image(rows))


def test_a_thread_that_begins_with_the_lowest_panel_has_room_for_the_others():
    """Eight panels of 128 rows but for the last, eight shares, the last one taken first."""
    matrix = random(1000, 1400, dtype=torch.bfloat16)

    def backwards(work, turns):
        return [work(turn) for turn in reversed(range(turns))][::-1]

    rows = random(4, 1400, dtype=torch.float32, seed=1)
    product = Gram(matrix, torch.float32, (1.0, 1.0))
    product._paced = backwards
    assert torch.equal(product(rows), Gram(matrix, torch.float32, (1.0, 1.0))(rows))


def run(values, **request):
    space = random_space(len(values), values[:0], 4)
    return block_lanczos(lambda rows: rows * values, space, price=PRICE, **request)


def test_a_run_ends_when_nothing_is_left():
    values = torch.linspace(0, 1, 400, dtype=torch.float64)
    found = run(values, left=lambda ritz: 20.0 - len(ritz.values) / 4)
    assert found.reached
    assert 20 <= found.space.steps <= 24


def test_a_run_goes_on_where_it_stopped():
    values = torch.linspace(0, 1, 400, dtype=torch.float64)
    first = run(values, left=lambda ritz: 10.0 - len(ritz.values) / 4)
    before = first.space.steps
    again = block_lanczos(
        lambda rows: rows * values,
        first.space,
        left=lambda ritz: 15.0 - len(ritz.values) / 4,
        price=PRICE,
    )
    assert before < again.space.steps <= 17
    whole = run(values, left=lambda ritz: float(again.space.steps) - len(ritz.values) / 4)
    assert torch.equal(whole.ritz.values, again.ritz.values)


def test_a_run_is_given_up_where_the_end_is_out_of_sight():
    found = run(torch.linspace(0, 1, 4000), left=lambda _: 5.0, most_steps=40)
    assert not found.reached
    assert 20 <= found.space.steps <= 40


@pytest.mark.parametrize("factor", [1e-30, 1e30, float("nan"), float("inf"), 0.0])
def test_a_matrix_that_is_not_near_one_has_to_be_scaled_first(factor):
    assert run(torch.ones(50) * factor, left=lambda _: 0.0) is None
