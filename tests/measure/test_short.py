"""Short weights that are measured together: each has the numbers that it has alone."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations

import normcli
from normcli import linalg
from normcli.measure.short import power_iterations
from normcli.records import CERTIFICATES

DTYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn,
    torch.float8_e5m2, torch.complex64, torch.complex128,
]  # fmt: skip
SHAPES = [
    (4, 4),
    (4, 4),
    (1, 7),
    (7, 1),
    (3, 5),
    (12, 3, 3),
    (2, 3, 3, 3),
    (0, 4),
    (4, 0),
    (6,),
    (),
]


def drawn(shape, dtype, generator):
    source = torch.complex128 if dtype.is_complex else torch.float64
    return torch.randn(shape, dtype=source, generator=generator).to(dtype)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Every dtype and shape thrice; NaN, infinities, zero rows, turned ones, and norm states."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for dtype in DTYPES:
        for shape in SHAPES:
            for number in range(3):
                name = f"{str(dtype)[6:]}.{'x'.join(map(str, shape))}.{len(state)}.weight"
                state[name] = drawn(shape, dtype, generator)
                if number == 2 and len(shape) == 2:
                    state[name] = drawn(shape[::-1], dtype, generator).t()
    state |= {
        f"special.{n}": torch.full((4, 4), x) for n, x in enumerate((0.0, math.inf, math.nan))
    }
    state["special.rows"] = torch.diag(torch.tensor([1.0, 0.0, 2.0, 0.0]))
    state |= {f"size.{n}": torch.full((4, 4), 10.0**n, dtype=torch.float64) for n in (-300, 300)}
    for number in range(4):
        make = (nn.utils.spectral_norm, parametrizations.spectral_norm)[number % 2]
        layer = make(nn.Linear(4, 4))
        state |= {f"normed.{number}.{name}": t for name, t in layer.state_dict().items()}
    path = tmp_path_factory.mktemp("short") / "model.pt"
    torch.save(state, path)
    return path


@pytest.fixture
def one_thread():
    """Some of torch's kernels sum by threads; inspect takes one a weight."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def records(report):
    return {each.name: json.dumps(each.to_record()) for each in report.measurements}


@pytest.mark.parametrize("dims", [None, {"*4x4*": 1, "*2x3x3x3*": 2}])
def test_a_weight_among_others_has_the_numbers_that_it_has_alone(path, dims):
    metrics = ["frobenius", "nan", "inf", "zero_rows", "power_iteration"]
    request = {"everything": True, "dims": dims, "metrics": metrics, "sha256": False}
    together = records(normcli.inspect(path, **request))
    assert len(together) == len(DTYPES) * len(SHAPES) * 3 + 6 + 4 * 2
    for name in list(together)[::5]:
        assert records(normcli.inspect(path, include=[name], **request)) == {name: together[name]}


@pytest.mark.parametrize("certificate", CERTIFICATES)
def test_a_norm_among_others_is_the_one_alone(path, certificate):
    request = {"everything": True, "metrics": ["spectral_norm"], "certificate": certificate}
    together = {m.name: m.spectral_norm for m in normcli.inspect(path, **request).measurements}
    for name in list(together)[::5]:
        [alone] = normcli.inspect(path, include=[name], **request).measurements
        assert repr(alone.spectral_norm) == repr(together[name])  # repr: NaN is NaN


@pytest.mark.usefixtures("one_thread")
def test_what_is_computed_together_is_what_linalg_gives(path):
    found = {each.name: each for each in normcli.inspect(path, everything=True).measurements}
    plain = {name: t for name, t in torch.load(path).items() if not name.startswith("normed")}
    for name, tensor in plain.items():
        census, rows = linalg.census(tensor), linalg.zero_rows(linalg.as_matrix(tensor))
        assert (repr(found[name].frobenius), found[name].nan) == (
            repr(census.frobenius),
            census.nan,
        )
        assert (found[name].inf, found[name].zero_rows) == (census.inf, rows)


def test_no_number_depends_on_how_many_are_measured_at_the_same_time(path):
    assert records(normcli.inspect(path, jobs=1)) == records(normcli.inspect(path, jobs=3))


@settings(deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 70), st.integers(1, 140)),
    dtype=st.sampled_from(DTYPES),
    count=st.sampled_from([1, 2, 9]),
    seed=st.integers(0, 99),
    turned=st.booleans(),
)
def test_steps_taken_together_are_those_taken_alone(sizes, dtype, count, seed, turned):
    generator = torch.Generator().manual_seed(seed)
    matrices = [drawn(sizes, dtype, generator) for _ in range(count)]
    if turned:
        matrices = [matrix.t() for matrix in matrices]
    alone = [linalg.power_iteration(each, iterations=15, seed=seed) for each in matrices]
    together = power_iterations(matrices, iterations=15, seed=seed)
    assert list(map(repr, together)) == list(map(repr, alone))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_steps_taken_together_are_those_of_torch(dtype):
    layers = [nn.Linear(30, 20).to(dtype).eval() for _ in range(5)]
    matrices = [layer.weight.detach().clone() for layer in layers]
    found = power_iterations(matrices, iterations=15, seed=3)
    for layer, sigma in zip(layers, found, strict=True):
        torch.manual_seed(3)
        norm = parametrizations.spectral_norm(layer).parametrizations.weight[0]
        weight = layer.parametrizations.weight.original.detach()
        assert float(torch.vdot(norm._u, torch.mv(weight, norm._v))) == sigma
