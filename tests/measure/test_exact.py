"""The exact spectral norm as it was asked for: what reaches the arithmetic, and every device."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import normcli
from normcli import linalg
from normcli.errors import UsageError
from normcli.measure.exact import placed
from normcli.records import DEVICES

_HERE = {
    "cpu": True,
    "cuda": torch.cuda.is_available(),
    "mps": torch.backends.mps.is_available(),
}
DEVICES_HERE = [
    pytest.param(name, marks=pytest.mark.skipif(not _HERE[name], reason=f"no {name} device here"))
    for name in DEVICES
]


@pytest.fixture
def path(tmp_path):
    torch.manual_seed(0)
    layer = nn.utils.spectral_norm(nn.Linear(24, 40))
    state = {f"normed.{name}": tensor for name, tensor in layer.state_dict().items()}
    plain = {"wide.weight": torch.randn(130, 640), "half.weight": torch.randn(70, 9).bfloat16()}
    save_file(state | plain, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_every_norm_is_asked_for_in_the_same_way(path, monkeypatch):
    asked = {"spectral_norm": [], "spectral_norms": []}

    def noted(name, compute):
        def note(matrices, **request):
            asked[name].append(request)
            return compute(matrices, **request)

        return note

    for name in asked:
        monkeypatch.setattr(linalg, name, noted(name, getattr(linalg, name)))
    request = {"rtol": 1e-3, "certificate": "none", "failure_probability": 1e-5, "seed": 7}
    normcli.inspect(path, **request)
    assert asked["spectral_norm"] == [request] * 2  # a long weight, and an original
    assert asked["spectral_norms"]
    assert all(each == request for each in asked["spectral_norms"])


@pytest.mark.parametrize("device", DEVICES_HERE)
def test_the_bracket_holds_on_every_device(path, device):
    found = {m.name: m for m in normcli.inspect(path, device=device).measurements}
    weights = load_file(path)
    for name in ("wide.weight", "half.weight"):
        exact = float(torch.linalg.matrix_norm(weights[name].double(), 2))
        norm = found[name].spectral_norm
        assert norm.lower <= exact * (1 + 1e-12)
        assert norm.upper >= exact * (1 - 1e-12)
        assert norm.value == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("device", DEVICES_HERE)
def test_no_other_number_depends_on_the_device(path, device):
    metrics = ["frobenius", "zero_rows", "power_iteration"]
    there, here = (normcli.inspect(path, metrics=metrics, device=d) for d in (device, "cpu"))
    assert there.measurements == here.measurements


@pytest.mark.parametrize("dtype", [torch.float64, torch.float8_e4m3fn, torch.complex64])
def test_a_matrix_whose_dtype_the_device_lacks_stays_where_it_is(dtype):
    matrix = torch.ones(2, 3).to(dtype)
    assert placed(matrix, "mps") is matrix


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"rtol": 1.0}, "rtol is 1.0"),
        ({"failure_probability": 0.0}, "failure_probability is 0.0"),
        ({"certificate": "sworn"}, "no certificate is called 'sworn'"),
        ({"device": "tpu"}, "--device: no device is called 'tpu'"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused_even_where_no_norm_is_wanted(
    path, request_, sentence
):
    with pytest.raises(UsageError, match=sentence):
        normcli.inspect(path, metrics=["nan"], **request_)
