"""Plain tensors at the edge of what a number can be: the right answer or a stated reason."""

from __future__ import annotations

import math
import warnings

import modules
import pytest
import torch
from exhibits import measure
from safetensors.torch import save_file


def _seeded(*shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(math.prod(shape) + 1)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def _complex_half(tensor):
    with warnings.catch_warnings():  # torch calls it experimental, once a process
        warnings.simplefilter("ignore", UserWarning)
        return tensor.to(torch.complex32)


def _graded(largest, dtype, *, rows=True, columns=True):
    """Rows and columns scaled from 1 up and down to 10^±largest."""
    weight = _seeded(12, 9, dtype=torch.float64)
    if rows:
        weight *= torch.logspace(largest, -largest, 12, dtype=torch.float64)[:, None]
    if columns:
        weight *= torch.logspace(largest, -largest, 9, dtype=torch.float64) / 10.0**largest
    return weight.to(dtype)


def _hilbert(size, dtype):
    indices = torch.arange(1, size + 1, dtype=torch.float64)
    return (1 / (indices[:, None] + indices - 1)).to(dtype)


FINITE = {
    "scalar": torch.tensor(-2.5),
    "vector": _seeded(9),
    "one row": _seeded(1, 9),
    "one column": _seeded(9, 1),
    "one entry": torch.tensor([[-3.0]]),
    "all zero": torch.zeros(5, 4),
    "zero but one row": torch.zeros(5, 4).index_fill(0, torch.tensor([2]), 7.0),
    "identity": torch.eye(6),
    "identity, bfloat16": torch.eye(6).bfloat16(),
    "negative identity": -torch.eye(6),
    "rank one": torch.outer(_seeded(8), _seeded(5)),
    "Hilbert": _hilbert(10, torch.float32),
    "Hilbert, float64": _hilbert(12, torch.float64),
    "all equal": torch.full((7, 5), 0.1),
    "ones and an outlier": torch.ones(30, 20).index_fill(0, torch.tensor([3]), 1e4),
    "two equal singular values": torch.diag(torch.tensor([2.0, 2, 1])),
    "orthogonal": torch.linalg.qr(_seeded(9, 9, dtype=torch.float64)).Q.float(),
    "graded rows": _graded(30, torch.float32, columns=False),
    "graded columns": _graded(30, torch.float32, rows=False),
    "graded rows and columns": _graded(15, torch.float32),
    "graded rows, float64": _graded(300, torch.float64, columns=False),
    "graded columns, float64": _graded(300, torch.float64, rows=False),
    "graded rows and columns, float64": _graded(150, torch.float64),
    "huge float32": _seeded(6, 5) * 1e38 / 4,
    "huge float64": _seeded(6, 5, dtype=torch.float64) * 1e300,
    "tiny float64": _seeded(6, 5, dtype=torch.float64) * 1e-300,
    "subnormal float32": _seeded(6, 5) * 1e-41,
    "subnormal float64": _seeded(6, 5, dtype=torch.float64) * 1e-310,
    "largest float16": torch.full((40, 30), 65504.0, dtype=torch.float16),
    "largest bfloat16": torch.full((4, 3), torch.finfo(torch.bfloat16).max).bfloat16(),
    "tall": _seeded(700, 3),
    "wide": _seeded(3, 700),
    "four axes": _seeded(4, 3, 2, 5),
    "transposed": _seeded(4, 6).T,
    "every other column": _seeded(4, 12)[:, ::2],
    "complex64": _seeded(6, 5, dtype=torch.complex64),
    "complex128": _seeded(6, 5, dtype=torch.complex128),
    "one complex row": _seeded(1, 5, dtype=torch.complex64),
    "float8_e4m3fn": _seeded(6, 5).to(torch.float8_e4m3fn),
    "float8_e5m2": _seeded(6, 5).to(torch.float8_e5m2),
    "float8_e4m3fnuz": _seeded(6, 5).to(torch.float8_e4m3fnuz),
    "float8_e5m2fnuz": _seeded(6, 5).to(torch.float8_e5m2fnuz),
    "float8_e8m0fnu": _seeded(6, 5).abs().to(torch.float8_e8m0fnu),
}

EMPTY = {
    "no row": torch.zeros(0, 4),
    "no column": torch.zeros(4, 0),
    "no entry at all": torch.zeros(0, 0),
    "empty vector": torch.zeros(0),
    "empty kernel": torch.zeros(4, 3, 0, 3),
    "empty float16": torch.zeros(0, 4).half(),
    "empty float8": torch.zeros(0, 4).to(torch.float8_e5m2),
}

NAN, INF = float("nan"), float("inf")
NON_FINITE = {
    "one NaN": (torch.tensor([[1.0, NAN], [2, 3]]), 1, 0),
    "one infinity": (torch.tensor([[1.0, INF], [2, 3]]), 0, 1),
    "both infinities": (torch.tensor([[-INF, INF], [2, 3]]), 0, 2),
    "NaN and infinity": (torch.tensor([[NAN, INF], [2, 3]]), 1, 1),
    "all NaN": (torch.full((3, 4), NAN), 12, 0),
    "NaN in one row": (torch.tensor([[1.0, NAN, 2]]), 1, 0),
    "NaN in one column": (torch.tensor([[1.0], [NAN]]), 1, 0),
    "NaN scalar": (torch.tensor(NAN), 1, 0),
    "NaN in float16": (torch.tensor([[1.0, NAN], [2, 3]]).half(), 1, 0),
    "infinity in bfloat16": (torch.tensor([[1.0, INF], [2, 3]]).bfloat16(), 0, 1),
    "NaN in float8": (torch.tensor([[1.0, NAN], [2, 3]]).to(torch.float8_e4m3fn), 1, 0),
    "infinity in float8": (torch.tensor([[1.0, INF], [2, 3]]).to(torch.float8_e5m2), 0, 1),
    "NaN in a complex number": (torch.tensor([[1.0, complex(NAN, 1)], [2, 3]]), 1, 0),
    "infinity in a complex number": (torch.tensor([[1.0, complex(1, INF)], [2, 3]]), 0, 1),
    "NaN far into a large tensor": (
        _seeded(700, 400).index_fill(0, torch.tensor([699]), NAN),
        400,
        0,
    ),
}


def _inspected(tensor, folder):
    torch.save({"weight": tensor}, folder / "edge.pt")
    return measure(folder / "edge.pt")["weight"]


def _wide(tensor):
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)


def _scaled_matrix(tensor):
    """The matrix divided by a power of two near its largest entry, and that power's exponent."""
    matrix = _wide(tensor).reshape(tensor.shape[0] if tensor.ndim else 1, -1)
    _, exponent = math.frexp(matrix.abs().max().item())
    half = exponent // 2  # 2^±1074 alone is not a number that one can divide by
    return matrix / 2.0**half / 2.0 ** (exponent - half), exponent


@pytest.mark.parametrize("name", FINITE)
def test_frobenius_is_right_to_the_last_digits(name, tmp_path):
    matrix, exponent = _scaled_matrix(FINITE[name])
    exact = math.ldexp(math.sqrt(math.fsum(matrix.abs().square().flatten().tolist())), exponent)
    assert _inspected(FINITE[name], tmp_path).frobenius == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("name", FINITE)
def test_the_spectral_norm_lies_in_its_bracket_or_the_reason_is_stated(name, tmp_path):
    matrix, exponent = _scaled_matrix(FINITE[name])
    exact = math.ldexp(torch.linalg.svdvals(matrix)[0].item(), exponent)
    measurement = _inspected(FINITE[name], tmp_path)
    found = measurement.spectral_norm
    assert found is not None or measurement.notes
    if found is not None:
        assert found.value == pytest.approx(exact, rel=1e-9)
        assert found.lower <= exact * (1 + 1e-13)
        assert found.upper >= exact * (1 - 1e-13)
        assert found.upper <= found.lower * (1 + 1e-6)
        assert found.lower <= found.value <= found.upper


@pytest.mark.parametrize("name", FINITE)
def test_finite_tensors_hold_neither_nan_nor_infinity(name, tmp_path):
    measurement = _inspected(FINITE[name], tmp_path)
    assert (measurement.nan, measurement.inf) == (0, 0)
    assert measurement.parameters == FINITE[name].numel()
    assert measurement.shape == tuple(FINITE[name].shape)
    assert measurement.dtype == str(FINITE[name].dtype).removeprefix("torch.")


def _in_range_of_torch(weight):
    """Whether neither the squares nor the sums of torch's own iteration leave the dtype's range."""
    if weight.ndim < 2 or weight.itemsize < 2:
        return False
    entries = _wide(weight).abs()
    limits = torch.finfo(weight.dtype)
    largest = entries.max().item() * weight.numel()
    return largest == 0 or limits.tiny**0.5 < largest < limits.max**0.5


@pytest.mark.parametrize("name", [name for name in FINITE if _in_range_of_torch(FINITE[name])])
def test_the_power_iteration_starts_as_torch_starts(name, tmp_path):
    with torch.no_grad():
        expected = modules.fifteen_steps(FINITE[name])
    found = _inspected(FINITE[name], tmp_path).power_iteration.value
    assert found == pytest.approx(expected, rel=8 * torch.finfo(FINITE[name].dtype).eps)


@pytest.mark.parametrize("name", FINITE)
def test_a_power_estimate_never_exceeds_the_spectral_norm(name, tmp_path):
    measurement = _inspected(FINITE[name], tmp_path)
    found = measurement.power_iteration
    assert found is not None or measurement.notes
    if found is not None and measurement.spectral_norm is not None:
        dtype = FINITE[name].dtype if FINITE[name].itemsize > 1 else torch.float32
        rounding = torch.finfo(dtype).eps
        limit = measurement.spectral_norm.upper * (1 + 8 * rounding)
        # half precision itself ends at 65504: torch's estimate is NaN there too
        assert found.value <= limit or math.isnan(found.value)


@pytest.mark.parametrize("name", EMPTY)
def test_nothing_has_norm_zero(name, tmp_path):
    measurement = _inspected(EMPTY[name], tmp_path)
    assert measurement.frobenius == 0
    assert (measurement.nan, measurement.inf) == (0, 0)
    found = measurement.spectral_norm
    assert (found.lower, found.value, found.upper) == (0, 0, 0)
    assert measurement.parameters == 0


@pytest.mark.parametrize("name", NON_FINITE)
def test_nan_and_infinity_are_counted_and_said(name, tmp_path):
    tensor, nan, inf = NON_FINITE[name]
    measurement = _inspected(tensor, tmp_path)
    assert (measurement.nan, measurement.inf) == (nan, inf)
    assert math.isnan(measurement.frobenius) if nan else measurement.frobenius == INF
    assert math.isnan(measurement.spectral_norm.value)
    assert any("NaN" in note or "infinite" in note for note in measurement.notes)


@pytest.mark.parametrize("name", ["one NaN", "one infinity", "NaN scalar"])
def test_a_non_finite_weight_is_written_as_words_in_json(name, tmp_path):
    record = _inspected(NON_FINITE[name][0], tmp_path).to_record()
    assert record["frobenius"] in {"nan", "inf"}
    assert record["spectral_norm"]["value"] == "nan"


@pytest.mark.parametrize(
    "name", ["float8_e4m3fn", "float8_e5m2", "four axes", "identity, bfloat16"]
)
def test_safetensors_gives_the_same_numbers(name, tmp_path):
    save_file({"weight": FINITE[name].contiguous()}, tmp_path / "x.safetensors")
    assert measure(tmp_path / "x.safetensors")["weight"] == _inspected(FINITE[name], tmp_path)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(6).reshape(2, 3),
        torch.ones(2, 3, dtype=torch.uint8),
        torch.ones(2, 3, dtype=torch.bool),
        torch.zeros(2, 3, dtype=torch.uint8).view(torch.float4_e2m1fn_x2),
        _complex_half(torch.ones(2, 3, dtype=torch.complex64)),
    ],
    ids=lambda tensor: str(tensor.dtype),
)
def test_what_is_no_number_of_a_weight_is_skipped_with_a_reason(tensor, tmp_path):
    import normcli

    torch.save({"other": tensor, "weight": torch.eye(2)}, tmp_path / "x.pt")
    report = normcli.inspect(tmp_path / "x.pt", everything=True)
    assert [each.name for each in report.measurements] == ["weight"]
    (skipped,) = [each for each in report.skipped if each.name == "other"]
    assert skipped.reason


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_header_length_that_looks_like_a_pickle_is_still_safetensors(protocol, tmp_path):
    path = tmp_path / "x.safetensors"
    start = bytes([0x80, protocol])  # how pickles begin, and lengths of 128 + 256 · protocol
    for padding in range(2000):
        save_file({"weight": torch.eye(3)}, path, metadata={"padding": "x" * padding})
        if path.read_bytes().startswith(start):
            break
    assert path.read_bytes()[2:8] == bytes(6)
    assert set(measure(path)) == {"weight"}
