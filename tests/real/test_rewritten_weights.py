"""A checkpoint that other people published, rewritten every way, against torch's own modules."""

from __future__ import annotations

import hashlib

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, remove_weight_norm, weight_norm

import normcli

pytestmark = pytest.mark.real

FCPE = "torchfcpe==0.0.4"
NAME, PATH = "model/output_proj.weight", "output_proj"
PARTS = {
    "legacy": {"output_proj.weight_g", "output_proj.weight_v"},
    "parametrized": {f"output_proj.parametrizations.weight.original{i}" for i in (0, 1)},
    "plain": {"output_proj.weight"},
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def fcpe(unpacked):
    return unpacked(FCPE) / "torchfcpe" / "assets" / "fcpe_c_v001.pt"


@pytest.fixture(scope="module")
def original(fcpe):
    return _load(fcpe)


def _load(path):
    return torch.load(path, map_location="cpu", weights_only=True)


@pytest.fixture(scope="module")
def rewritten(fcpe, tmp_path_factory):
    """Way → the loaded file; every way begins at the published file or at one before it."""
    folder = tmp_path_factory.mktemp("fcpe")
    plain, parametrized = folder / "plain.pt", folder / "parametrized.pt"
    normcli.remove(fcpe, output=plain)
    normcli.convert(fcpe, output=parametrized, layout="parametrized")
    normcli.convert(parametrized, output=folder / "legacy.pt", layout="legacy")
    normcli.remove(parametrized, output=folder / "plain-again.pt")
    for target in ("legacy", "parametrized"):
        for norm in ("weight", "spectral"):
            output = folder / f"{norm}-{target}.pt"
            normcli.apply(plain, norm=norm, layout=target, output=output, include=[NAME])
    return {path.stem: _load(path) for path in folder.iterdir()}


def _projection(state):
    start = f"{PATH}."
    return {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}


def _hooked(state):
    layer = weight_norm(nn.Linear(512, 360))
    layer.load_state_dict(_projection(state), strict=True)
    return layer.eval()


def _removed(state):
    return remove_weight_norm(_hooked(state)).weight.detach()


def _same(found, expected):
    if isinstance(expected, torch.Tensor):
        same = found.dtype == expected.dtype and found.stride() == expected.stride()
        return same and torch.equal(found, expected)
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(_same(found[k], expected[k]) for k in expected)
    if isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(_same, found, expected))
    return type(found) is type(expected) and found == expected


WAYS = {
    "plain": "plain", "plain-again": "plain", "parametrized": "parametrized", "legacy": "legacy",
    "weight-legacy": "legacy", "weight-parametrized": "parametrized",
}  # fmt: skip


@pytest.mark.parametrize("way", [*WAYS, "spectral-legacy", "spectral-parametrized"])
def test_all_that_is_not_the_projection_is_as_torch_loads_it(way, rewritten, original):
    found = rewritten[way]
    rest = {key: value for key, value in original.items() if key != "model"}
    assert _same({key: value for key, value in found.items() if key != "model"}, rest)
    assert list(found) == list(original)
    keep = [key for key in original["model"] if not key.startswith(f"{PATH}.weight")]
    assert [key for key in found["model"] if not key.startswith((f"{PATH}.w", f"{PATH}.p"))] == keep
    assert _same(
        {key: found["model"][key] for key in keep}, {key: original["model"][key] for key in keep}
    )


@pytest.mark.parametrize(("way", "target"), WAYS.items())
def test_the_projection_is_spelled_as_torch_spells_it(way, target, rewritten, original):
    beside = {key for key in original["model"] if not key.startswith(f"{PATH}.weight")}
    assert set(rewritten[way]["model"]) == beside | PARTS[target]


@pytest.mark.parametrize("way", ["plain", "plain-again"])
def test_the_plain_projection_is_bit_for_bit_what_torchs_removal_leaves(way, rewritten, original):
    found = rewritten[way]["model"][f"{PATH}.weight"]
    assert torch.equal(found, _removed(original["model"]))


def test_there_and_back_is_the_published_state(rewritten, original):
    assert _same(rewritten["legacy"]["model"], dict(original["model"]))


def test_the_parametrized_projection_computes_as_the_published_one(rewritten, original):
    layer = parametrizations.weight_norm(nn.Linear(512, 360)).eval()
    layer.load_state_dict(_projection(rewritten["parametrized"]["model"]), strict=True)
    example = torch.randn(3, 512, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(layer(example), _hooked(original["model"])(example))


@pytest.mark.parametrize("target", ["legacy", "parametrized"])
def test_weight_norm_put_on_again_is_torchs_own(target, rewritten, original):
    put = weight_norm if target == "legacy" else parametrizations.weight_norm
    layer = nn.Linear(512, 360).eval()
    layer.weight = nn.Parameter(_removed(original["model"]))
    layer.bias = nn.Parameter(original["model"][f"{PATH}.bias"])
    theirs = put(layer).state_dict()
    found = _projection(rewritten[f"weight-{target}"]["model"])
    assert set(found) == set(theirs)
    assert all(torch.equal(found[key], tensor) for key, tensor in theirs.items())


@pytest.mark.parametrize("target", ["legacy", "parametrized"])
def test_spectral_norm_put_on_divides_by_the_exact_norm(target, rewritten, original):
    put = nn.utils.spectral_norm if target == "legacy" else parametrizations.spectral_norm
    layer = put(nn.Linear(512, 360)).eval()
    layer.load_state_dict(_projection(rewritten[f"spectral-{target}"]["model"]), strict=True)
    weight = _removed(original["model"])
    exact = torch.linalg.matrix_norm(weight.double(), ord=2).item()
    state = layer.state_dict()
    u, v = (next(state[k] for k in state if k.endswith(end)) for end in ("_u", "_v"))
    assert torch.dot(u, torch.mv(weight, v)).item() == pytest.approx(exact, rel=1e-6)


def test_the_published_file_is_not_touched(fcpe, tmp_path):
    before = hashlib.sha256(fcpe.read_bytes()).hexdigest()
    for number in (1, 2):
        normcli.remove(fcpe, output=tmp_path / f"{number}.pt")
    assert hashlib.sha256(fcpe.read_bytes()).hexdigest() == before
    assert (tmp_path / "1.pt").read_bytes() == (tmp_path / "2.pt").read_bytes()
