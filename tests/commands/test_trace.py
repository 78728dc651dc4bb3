"""The power iteration of a stored weight, against torch's own modules and LAPACK."""

import hashlib
import math
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

import normcli
from normcli.errors import CheckpointError, RefusedError, UsageError

NORMS = {"legacy": spectral_norm, "parametrized": parametrizations.spectral_norm}
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """As many threads as normcli takes: some kernels of torch sum per thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def normalized(layout, dtype=torch.float32, module=None):
    torch.manual_seed(0)
    return NORMS[layout](module or nn.Linear(30, 20).to(dtype))


def saved(tmp_path, state):
    torch.save(state, tmp_path / "model.pt")
    return tmp_path / "model.pt"


def forwards(layer, steps):
    """σ̂ after each training step that torch itself takes."""
    for _ in range(steps):
        if hasattr(layer, "weight_orig"):
            (hook,) = layer._forward_pre_hooks.values()
            hook(layer.train(), ())
            u, v = layer.weight_u, layer.weight_v
            matrix = hook.reshape_weight_to_matrix(layer.weight_orig)
        else:
            layer.train().weight  # noqa: B018  reading it takes the step
            norm = layer.parametrizations.weight[0]
            u, v = norm._u, norm._v
            matrix = norm._reshape_weight_to_matrix(layer.parametrizations.weight.original)
        yield float(torch.dot(u, torch.mv(matrix.detach(), v)))


def original(layer):
    if hasattr(layer, "weight_orig"):
        return layer.weight_orig.detach()
    return layer.parametrizations.weight.original.detach()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", NORMS)
def test_every_step_is_the_one_that_the_layer_takes_in_training(tmp_path, layout, dtype):
    layer = normalized(layout, dtype)
    found = normcli.trace(saved(tmp_path, layer.state_dict()), "weight", iterations=7)
    assert found.start == "stored"
    assert [each.value for each in found.iterations] == list(forwards(layer, 7))
    assert [each.n for each in found.steps] == list(range(8))


@pytest.mark.parametrize("layout", NORMS)
def test_a_transposed_convolution_is_iterated_along_its_row_axis(tmp_path, layout):
    layer = normalized(layout, module=nn.ConvTranspose2d(3, 5, 3))
    found = normcli.trace(saved(tmp_path, layer.state_dict()), "weight", iterations=4)
    assert found.matrix_shape == (5, 27)
    assert [each.value for each in found.iterations] == list(forwards(layer, 4))


@pytest.mark.parametrize("layout", NORMS)
def test_the_norm_is_that_of_the_original_and_the_error_is_to_it(tmp_path, layout):
    layer = normalized(layout)
    found = normcli.trace(saved(tmp_path, layer.state_dict()), "weight")
    exact = torch.linalg.svdvals(original(layer).double())
    assert found.spectral_norm.value == pytest.approx(float(exact[0]), rel=1e-6)
    assert found.gap == pytest.approx(float(exact[1] / exact[0]), rel=1e-3)
    for each in found.iterations:
        error = 1 - each.value / float(exact[0])
        assert each.relative_error == pytest.approx(error, abs=1e-6)
    assert found.steps[0].value == pytest.approx(found.state.sigma_stored)


@pytest.mark.parametrize("iterations", [0, 5, 400])
@pytest.mark.parametrize("layout", NORMS)
def test_steps_to_a_target_are_those_that_torch_needs(tmp_path, layout, iterations):
    layer = normalized(layout, torch.float64, nn.Linear(90, 80))
    path = saved(tmp_path, layer.state_dict())
    norm = float(torch.linalg.svdvals(original(layer).double())[0])
    values = list(forwards(layer, 400))
    found = normcli.trace(path, "weight", iterations=iterations).predicted
    for key, limit in (("0.01", 0.01), ("0.001", 0.001)):
        needed = next(n for n, value in enumerate(values, 1) if 1 - value / norm <= limit)
        assert needed > 1
        assert abs(found[key] - needed) <= (0 if needed <= iterations else max(1, 0.02 * needed))


def test_a_plain_weight_starts_where_torch_would_start(tmp_path):
    weight = torch.randn(20, 30, generator=torch.Generator().manual_seed(1))
    found = normcli.trace(saved(tmp_path, {"weight": weight}), "weight", iterations=15, seed=3)
    holder = nn.Linear(30, 20).eval()
    holder.weight = nn.Parameter(weight)
    torch.manual_seed(3)
    parametrizations.spectral_norm(holder)  # 15 steps from a start of its own
    norm = holder.parametrizations.weight[0]
    sigma = torch.vdot(norm._u, torch.mv(weight, norm._v))
    assert found.start == "random"
    assert found.state is None
    assert found.steps[15].value == float(sigma)


def test_under_weight_norm_it_is_the_effective_weight(tmp_path):
    layer = weight_norm(nn.Linear(30, 20))
    found = normcli.trace(saved(tmp_path, layer.state_dict()), "weight")
    exact = float(torch.linalg.svdvals(layer.weight.detach().double())[0])
    assert (found.start, found.state.family) == ("random", "weight")
    assert found.spectral_norm.value == pytest.approx(exact, rel=1e-5)


def test_of_stacked_norms_the_last_one_is_traced_on_what_it_is_given(tmp_path):
    torch.manual_seed(0)
    layer = parametrizations.weight_norm(nn.Linear(12, 9))
    parametrizations.spectral_norm(layer)
    path = saved(tmp_path, layer.state_dict())
    found = normcli.trace(path, "weight", iterations=3)
    chain = layer.parametrizations.weight
    given = chain[0](chain.original0, chain.original1).detach()
    values = []
    for _ in range(3):
        chain[1].train()(given)
        values.append(float(torch.vdot(chain[1]._u, torch.mv(given, chain[1]._v))))
    assert [each.value for each in found.iterations] == values
    assert [each.family for each in found.state.stack] == ["weight", "spectral"]


@pytest.mark.parametrize(
    "dtype", [torch.complex64, torch.float8_e4m3fn, torch.float8_e5m2], ids=str
)
def test_dtypes_without_products_of_their_own_are_widened(tmp_path, dtype):
    source = torch.complex64 if dtype.is_complex else torch.float32
    weight = torch.randn(12, 8, dtype=source, generator=torch.Generator().manual_seed(0)).to(dtype)
    wide = weight.to(torch.complex128 if dtype.is_complex else torch.float64)
    exact = float(torch.linalg.svdvals(wide)[0])
    found = normcli.trace(saved(tmp_path, {"weight": weight}), "weight", iterations=200)
    assert found.spectral_norm.value == pytest.approx(exact, rel=1e-6)
    assert found.iterations[-1].value == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("shape", [(1, 9), (9, 1)], ids=str)
def test_one_row_or_column_is_there_after_one_step(tmp_path, shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = normcli.trace(saved(tmp_path, {"weight": weight}), "weight", iterations=2)
    assert found.gap == 0
    assert set(found.predicted.values()) == {1}
    assert abs(found.steps[1].relative_error) < 1e-6


def test_a_zero_matrix_has_values_and_no_error(tmp_path):
    found = normcli.trace(saved(tmp_path, {"weight": torch.zeros(4, 3)}), "weight", iterations=2)
    assert [each.value for each in found.steps] == [0, 0, 0]
    assert {each.relative_error for each in found.iterations} == {None}
    assert (found.gap, set(found.predicted.values())) == (None, {None})
    assert found.notes == ("all zero",)


@pytest.mark.parametrize("entry", [math.nan, math.inf])
def test_entries_that_are_no_numbers_are_said_and_nothing_is_predicted(tmp_path, entry):
    weight = torch.ones(4, 3)
    weight[1, 2] = entry
    record = normcli.trace(saved(tmp_path, {"weight": weight}), "weight").to_dict()
    assert record["spectral_norm"]["value"] == "nan"
    assert record["iterations"][0] == {"n": 1, "value": "nan", "relative_error": None}
    assert (record["gap"], record["predicted"]) == (None, {"0.01": None, "0.001": None})
    assert record["notes"] == ["entries are NaN or infinite"]


def test_what_rounding_hides_is_not_predicted(tmp_path):
    layer = normalized("parametrized", torch.bfloat16, nn.Linear(90, 80).bfloat16())
    found = normcli.trace(saved(tmp_path, layer.state_dict()), "weight", iterations=0)
    assert found.predicted["0.001"] is None
    assert found.notes[0] == "not predicted to 0.1 %: bfloat16 rounds σ̂ to 0.4 %"


def test_without_steps_there_is_the_start_and_a_prediction(tmp_path):
    layer = normalized("legacy")
    found = normcli.trace(saved(tmp_path, layer.state_dict()), "weight", iterations=0)
    assert len(found.steps) == 1
    assert found.predicted["0.001"] > 1


def test_an_axis_from_outside_turns_the_matrix(tmp_path):
    path = saved(tmp_path, {"weight": torch.randn(4, 6)})
    assert normcli.trace(path, "weight", dims={"w*": 1}).matrix_shape == (6, 4)
    far = normcli.trace(path, "weight", dims={"w*": 7})
    assert far.matrix_shape == (4, 6)
    assert far.notes == ("axis 7 was asked for, but the weight has 2 axes",)


@pytest.fixture
def sections(tmp_path):
    same = {
        "conv.weight": torch.eye(3),
        "conv.bias": torch.ones(3),
        "steps": torch.ones(2, 2).int(),
    }
    return saved(tmp_path, {"G": {**same, "up.weight": torch.eye(2)}, "D": same})


def test_a_key_of_one_section_is_enough(sections):
    assert normcli.trace(sections, "up.weight").name == "G/up.weight"
    assert normcli.trace(sections, "D/conv.weight").name == "D/conv.weight"


def test_a_key_of_two_sections_is_answered_with_both(sections):
    with pytest.raises(
        UsageError, match=r"in 2 sections: 'G/conv.weight', 'D/conv.weight'"
    ) as caught:
        normcli.trace(sections, "conv.weight")
    assert caught.value.where == str(sections)


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("D/conv.wieght", "holds no weight 'D/conv.wieght'", "did you mean 'D/conv.weight'?"),
        ("uo.weight", "holds no weight 'uo.weight'", "did you mean 'G/up.weight'?"),
        ("zzz", "holds no weight 'zzz'", "known: G/conv.weight, "),
        ("D/conv.bias", "'D/conv.bias' has shape (3,), expected two axes or more", "inspect --all"),
        ("D/steps", "'D/steps' is int32, norms are of floating-point weights", ""),
    ],
)
def test_a_name_that_means_no_matrix_is_answered_in_one_line(sections, name, message, hint):
    with pytest.raises(UsageError) as caught:
        normcli.trace(sections, name)
    assert caught.value.message == message
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value) + caught.value.hint


def test_a_part_of_a_norm_is_answered_with_the_weight(tmp_path):
    path = saved(tmp_path, {"D": normalized("legacy").state_dict()})
    with pytest.raises(UsageError) as caught:
        normcli.trace(path, "weight_orig")
    assert caught.value.hint == "it is a part of 'D/weight'"


def test_a_state_that_nobody_can_decode_is_named_with_its_reason(tmp_path):
    path = saved(
        tmp_path,
        {"weight_orig": torch.eye(3), "weight_u": torch.ones(4), "weight_v": torch.ones(3)},
    )
    with pytest.raises(CheckpointError, match=r"model.pt: 'weight': 'weight_u' has shape \(4,\)"):
        normcli.trace(path, "weight")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": -1}, "iterations is -1, expected 0 or more"),
        ({"rtol": 2.0}, "rtol is 2.0"),
        ({"certificate": "sure"}, "no certificate is called 'sure'"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(sections, options, message):
    with pytest.raises(UsageError, match=message):
        normcli.trace(sections, "up.weight", **options)


def test_a_pinned_hash_is_compared(sections):
    right = hashlib.sha256(sections.read_bytes()).hexdigest()
    assert normcli.trace(sections, "up.weight", expect_sha256=right).iterations
    with pytest.raises(RefusedError, match="expected 0000"):
        normcli.trace(sections, "up.weight", expect_sha256="0" * 64)


def test_torch_keeps_its_threads(sections):
    torch.set_num_threads(2)
    normcli.trace(sections, "up.weight")
    kept = torch.get_num_threads()
    torch.set_num_threads(1)
    assert kept == 2


def test_a_name_that_is_not_there_costs_no_import_of_torch(sections):
    code = (
        "import sys, normcli\n"
        f"try: normcli.trace({str(sections)!r}, 'zzz')\n"
        "except Exception as error: print(error, file=sys.stderr)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
