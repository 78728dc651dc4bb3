"""σ₁ of matrices large enough for block Lanczos: the value, the bracket, and who vouches for it."""

import math
from functools import cache

import pytest
import torch

from normcli.errors import UsageError
from normcli.linalg import bracket, spectral, spectral_norm, spectral_norms

SIDE = 640


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random(*shape, dtype=torch.float64, seed=0):
    source = torch.complex128 if dtype.is_complex else torch.float64
    return torch.randn(shape, dtype=source, generator=generator(seed)).to(dtype)


def wide(matrix):
    return matrix.to(torch.complex128 if matrix.is_complex() else torch.float64)


def lapack(matrix):
    scale = float(wide(matrix).abs().max())
    return float(torch.linalg.svdvals(wide(matrix) / scale)[0]) * scale


def with_singular_values(values, m=SIDE, n=SIDE):
    values = torch.as_tensor(values, dtype=torch.float64)
    left, right = (torch.linalg.qr(random(side, len(values), seed=side + 1)).Q for side in (m, n))
    return ((left * values) @ right.T).float()


def index(n=SIDE):
    return torch.arange(1, n + 1, dtype=torch.float64)


def with_entry(matrix, value):
    matrix[17, 23] = value
    return matrix


def graded(decades):
    return 10 ** torch.linspace(decades, -decades, SIDE, dtype=torch.float64)


def clustered(step):
    """Fifty singular values, `step` apart, over a bulk."""
    return with_singular_values(torch.cat([1 + step * index(50), 0.5 - index(590) / 2000]))


MATRICES = {
    "gaussian": lambda: random(SIDE, SIDE, dtype=torch.float32),
    "tall": lambda: random(3000, SIDE, dtype=torch.float32),
    "wide": lambda: random(SIDE, 2000, dtype=torch.float32),
    "very wide": lambda: random(SIDE, 3000, dtype=torch.float32),
    "spiked": lambda: random(SIDE, SIDE).float() / 25 + 4 * with_singular_values([1.0, 0.8, 0.6]),
    "bfloat16": lambda: random(SIDE, SIDE, dtype=torch.bfloat16),
    "float16": lambda: random(SIDE, SIDE, dtype=torch.float16),
    "float8": lambda: random(SIDE, SIDE, dtype=torch.float8_e4m3fn),
    "complex64": lambda: random(SIDE, SIDE, dtype=torch.complex64),
    "float64": lambda: random(1200, 1200),
    "transposed": lambda: random(SIDE, 2 * SIDE, dtype=torch.float32).T,
    "strided": lambda: random(2 * SIDE, 3 * SIDE, dtype=torch.float32)[::2, ::3],
    "expanded": lambda: random(1, SIDE, dtype=torch.float32).expand(SIDE, SIDE),
    "power law": lambda: with_singular_values(index() ** -0.25),
    "identity": lambda: torch.eye(SIDE),
    "orthogonal": torch.linalg.qr(random(SIDE, SIDE)).Q.float,
    "all ones": lambda: torch.ones(SIDE, SIDE),
    "ones and one outlier": lambda: with_entry(torch.ones(SIDE, SIDE), 1e4),
    "rank one": lambda: random(SIDE, 1).float() @ random(1, SIDE).float(),
    "rank twenty": lambda: random(SIDE, 20).float() @ random(20, SIDE).float(),
    "fifty within 1e-4": lambda: clustered(2e-6),
    "fifty within 1e-7": lambda: clustered(2e-9),
    "dense edge": lambda: with_singular_values(
        0.5 * (1 + torch.cos(math.pi * (index() - 0.5) / SIDE))
    ),
    "even": lambda: with_singular_values(1 - 0.5 * index() / SIDE),
    "hilbert": (1 / (index()[:, None] + index() - 1)).float,
    "graded columns": (random(SIDE, SIDE) * graded(30)).float,
    "graded both ways": (random(SIDE, SIDE) * graded(15) * graded(15)[:, None]).float,
    "spike on one entry": lambda: with_entry(random(SIDE, SIDE).float() / 25, 2.6),
    "spike at the edge": lambda: with_entry(random(SIDE, SIDE).float() / 25, 2.01),
    "huge": lambda: random(SIDE, SIDE).float() * 1e36,
    "tiny": lambda: random(SIDE, SIDE).float() * 1e-36,
    "float32 subnormals": (random(SIDE, SIDE) * 1e-42).float,
    "huge float64": lambda: random(SIDE, SIDE) * 1e300,
    "one entry": lambda: with_entry(torch.zeros(SIDE, SIDE), 7.0),
    "half of it zero": lambda: torch.cat([torch.zeros(SIDE, 300), random(SIDE, 340).float()], 1),
    "heavy tails": (random(SIDE, SIDE) / random(SIDE, SIDE, seed=1)).float,
}
CROWDED = {"fifty within 1e-7", "orthogonal"}  # more values within rtol of σ₁ than a block holds


@cache
def matrix_of(name):
    return MATRICES[name]()


@cache
def exact_of(name):
    return lapack(matrix_of(name))


@pytest.mark.parametrize("certificate", ["probabilistic", "deterministic", "none"])
@pytest.mark.parametrize("name", MATRICES)
def test_the_value_is_that_of_lapack_and_the_bracket_holds_it(name, certificate):
    found = spectral_norm(matrix_of(name), certificate=certificate)
    assert found.lower <= exact_of(name) <= found.upper
    assert found.lower <= found.value <= found.upper
    assert found.lower >= exact_of(name) * (1 - 2e-6)
    rtol = 1e-6 if certificate == "none" else 1e-9
    if name in CROWDED and certificate == "probabilistic":
        rtol = 1e-6
    assert found.value == pytest.approx(exact_of(name), rel=rtol, abs=0)
    if certificate != "none":
        assert found.upper <= found.lower * (1 + 1e-6)


def test_large_matrices_are_not_reduced_to_their_gram_matrix():
    methods = {
        name: spectral_norm(matrix_of(name)).method
        for name in ("power law", "spiked", "rank one", "dense edge")
    }
    assert methods["power law"] == methods["spiked"] == methods["rank one"] == "block-lanczos"
    assert methods["dense edge"] == "gram-cholesky"


@pytest.mark.parametrize("certificate", ["probabilistic", "deterministic", "none"])
def test_the_failure_probability_is_that_of_the_certificate(certificate):
    found = spectral_norm(matrix_of("spiked"), certificate=certificate, failure_probability=1e-4)
    assert found.failure_probability == (1e-4 if certificate == "probabilistic" else 0)


def test_a_dense_certificate_has_no_chance_in_it():
    assert spectral_norm(matrix_of("dense edge")).failure_probability == 0
    assert spectral_norm(torch.eye(5)).failure_probability == 0


@pytest.mark.parametrize("name", ["spiked", "dense edge"])
def test_without_a_certificate_the_upper_end_is_the_frobenius_norm(name):
    found = spectral_norm(matrix_of(name), certificate="none")
    frobenius = float(matrix_of(name).double().norm())
    assert found.upper == pytest.approx(frobenius, rel=1e-10)
    assert found.upper >= frobenius


def test_a_matrix_of_low_rank_is_certain_without_its_gram_matrix():
    found = spectral_norm(matrix_of("rank twenty"), certificate="deterministic")
    assert found.method == "trailing-energy"
    assert found.upper <= found.lower * (1 + 2e-9)


@pytest.mark.parametrize("rtol", [0.1, 1e-3, 1e-6, 1e-8])
@pytest.mark.parametrize("name", ["gaussian", "power law", "bfloat16"])
def test_the_bracket_is_as_narrow_as_asked_for(name, rtol):
    found = spectral_norm(matrix_of(name), rtol=rtol)
    assert found.upper <= found.lower * (1 + rtol)
    assert found.lower <= exact_of(name) <= found.upper


def test_a_wider_bracket_takes_fewer_passes():
    passes = [spectral_norm(matrix_of("power law"), rtol=rtol).passes for rtol in (0.1, 1e-2, 1e-6)]
    assert passes == sorted(passes)
    assert passes[0] < passes[-1]


@pytest.mark.parametrize("spike", [1.02, 1.05])
def test_the_bracket_fails_no_more_often_than_stated(spike):
    """320 starts at a nominal 0.05, and a spike that hides in one of 640 directions."""
    values = torch.linspace(0, 1, SIDE)
    values[-1] = spike
    violations = 0
    for seed in range(320):
        found = spectral_norm(torch.diag(values), rtol=1e-2, failure_probability=0.05, seed=seed)
        assert found.method == "block-lanczos"
        assert found.lower <= float(values[-1])
        violations += found.upper < float(values[-1])
    assert 0 < violations <= 0.08 * 320  # none at all would be a bound that is far too wide


def test_the_seed_is_the_only_chance():
    first, again, other = (
        spectral_norm(matrix_of("gaussian"), seed=seed, certificate="none") for seed in (4, 4, 5)
    )
    assert first == again
    assert first.value != other.value


@pytest.mark.parametrize(
    "name", ["spiked", "tall", "very wide", "transposed", "complex64", "rank one", "dense edge"]
)
@pytest.mark.parametrize("certificate", ["probabilistic", "deterministic"])
def test_the_vectors_are_a_singular_pair(name, certificate):
    matrix = wide(matrix_of(name))
    found = spectral_norm(matrix_of(name), certificate=certificate, vectors=True)
    assert float(torch.linalg.vector_norm(found.u)) == pytest.approx(1, rel=1e-12)
    assert float(torch.linalg.vector_norm(found.v)) == pytest.approx(1, rel=1e-12)
    stretched = torch.vdot(found.u.to(matrix.dtype), matrix @ found.v.to(matrix.dtype))
    assert complex(stretched) == pytest.approx(found.value, rel=1e-9)


def test_vectors_come_only_where_they_are_asked_for():
    for matrix in (matrix_of("spiked"), torch.eye(4), torch.ones(3, 1), torch.zeros(2, 2)):
        plain = spectral_norm(matrix)
        assert plain.u is None
        assert plain.v is None
        assert spectral_norm(matrix, vectors=True).u.shape == (matrix.shape[0],)
        assert spectral_norm(matrix, vectors=True).v.shape == (matrix.shape[1],)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_entry_that_is_not_finite_gives_nan_at_any_size(bad):
    found = spectral_norm(with_entry(torch.ones(SIDE, SIDE), bad))
    assert math.isnan(found.value)
    assert found.method == "non-finite"


def test_a_large_zero_matrix_has_norm_zero():
    assert spectral_norm(torch.zeros(SIDE, SIDE)).method == "zero"


def test_where_float32_is_too_coarse_float64_takes_over(monkeypatch):
    monkeypatch.setattr(bracket, "_LEAST_WIDENING", 1e-3)
    found = spectral_norm(matrix_of("spiked"))
    assert found.method == "block-lanczos"
    assert found.upper <= found.lower * (1 + 1e-6)
    assert found.lower <= exact_of("spiked") <= found.upper


@pytest.mark.parametrize("rtol", [1e-3, 1e-6, 1e-12])
def test_a_matrix_too_large_for_all_else_keeps_a_wide_bracket(monkeypatch, rtol):
    monkeypatch.setattr(spectral, "dense_is_possible", lambda *_: False)
    found = spectral_norm(matrix_of("dense edge"), rtol=rtol)
    assert found.method == "block-lanczos"
    assert found.lower <= exact_of("dense edge") <= found.upper
    assert found.upper <= float(matrix_of("dense edge").double().norm()) * (1 + 1e-9)


def test_numbers_do_not_depend_on_threads_and_torch_gets_its_own_back():
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(spectral_norm(random(1500, 1500, dtype=torch.float32)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize(
    "request_",
    [
        {"rtol": 0.0},
        {"rtol": math.nan},
        {"rtol": 1.0},
        {"failure_probability": 0.0},
        {"failure_probability": 1.0},
        {"certificate": "propabilistic"},
    ],
    ids=str,
)
def test_a_request_that_cannot_be_meant_is_refused(request_):
    with pytest.raises(UsageError):
        spectral_norm(torch.eye(3), **request_)


BATCH = [
    random(6, 4, dtype=torch.float32),
    random(6, 4, dtype=torch.bfloat16, seed=1),
    torch.zeros(6, 4),
    random(4, 6),
    with_entry(torch.ones(20, 30), math.nan),
    torch.ones(6, 1),
    random(6, 4) * 1e300,
    random(6, 4, dtype=torch.complex64),
    torch.empty(0, 3),
    random(SIDE, SIDE, dtype=torch.float32),
    random(6, 4, seed=2) * 1e-310,
    torch.eye(4, 6),
    random(70, 70),
]


@pytest.mark.parametrize("certificate", ["probabilistic", "deterministic", "none"])
def test_many_norms_are_the_norms_of_each_in_order(certificate):
    together = spectral_norms(BATCH, certificate=certificate)
    for matrix, found in zip(BATCH, together, strict=True):
        alone = spectral_norm(matrix, certificate=certificate)
        assert found.method == alone.method
        assert found.failure_probability == alone.failure_probability
        for end in ("lower", "value", "upper"):
            ours, theirs = getattr(found, end), getattr(alone, end)
            assert ours == pytest.approx(theirs, rel=1e-12, abs=0, nan_ok=True)
        if matrix.numel() and math.isfinite(found.value) and found.value:
            assert found.lower <= lapack(matrix) <= found.upper


def test_no_matrices_have_no_norms():
    assert spectral_norms([]) == []


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_another_device_gives_the_same_bracket(device):
    there = torch.cuda if device == "cuda" else torch.backends.mps
    if not there.is_available():
        pytest.skip(f"no {device} device here")
    for name in ("gaussian", "tall", "very wide", "spiked", "bfloat16", "rank one", "dense edge"):
        found = spectral_norm(matrix_of(name).to(device))
        assert found.lower <= exact_of(name) <= found.upper
        assert found.value == pytest.approx(exact_of(name), rel=1e-9)
