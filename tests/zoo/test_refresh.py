"""What refresh writes: the same originals, and u, v as training or a decomposition gives them."""

from __future__ import annotations

from functools import cache

import modules
import pytest
import torch
import written
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm
from written import DTYPES, STALLS, TARGETS

import normcli
from normcli.errors import NormcliError, UsageError

CASES = [
    pytest.param(target, dtype, stall, id=f"{target}-{dtype}-{stall}")
    for target in TARGETS
    for dtype in DTYPES
    for stall in STALLS["spectral"]
]


def _stale(stall, target, dtype):
    """Trained, then moved on: u and v are those of another original, but tell their axis."""
    module = stall.trained("spectral", target, dtype)
    torch.manual_seed(9)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1 + torch.rand_like(parameter) / 8)
    return module


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory):
    """(target, dtype, options) → the state dict that `normcli.refresh` leaves."""
    folder = tmp_path_factory.mktemp("refreshed")

    @cache
    def stale(target, dtype):
        model = nn.ModuleDict(
            {stall.name: _stale(stall, target, dtype) for stall in STALLS["spectral"]}
        )
        return written.save(model.state_dict(), folder / f"{target}-{dtype}.pt")

    @cache
    def write(target, dtype, **options):
        output = folder / f"{target}-{dtype}-{len(list(folder.iterdir()))}.pt"
        dims = written.row_axes("spectral")
        normcli.refresh(stale(target, dtype), output=output, dims=dims, **options)
        return written.load(output)

    return write


def _stepped(module, name, times):
    """After so many training forwards of the norm."""
    module.train()
    with torch.no_grad():
        for _ in range(times):
            for hook in module._forward_pre_hooks.values():
                hook(module, ())
            getattr(module, name)
    return module.eval()


@pytest.mark.parametrize(("target", "dtype", "stall"), CASES)
def test_torch_divides_by_the_exact_spectral_norm_afterwards(refreshed, target, dtype, stall):
    part = written.of_stall(refreshed(target, dtype), stall)
    module = written.loaded(stall.normed("spectral", target, dtype, salt="fresh"), part)
    (norm,) = modules._norms(module, stall.kind.weight)
    exact = written.singular_value(norm.original, stall.axis)
    assert norm.sigma == pytest.approx(exact, rel=written.SIGMA[dtype])
    for vector in (norm.u, norm.v):
        rounding = 4 * torch.finfo(vector.dtype).eps
        assert vector.double().norm().item() == pytest.approx(1, abs=rounding)


@pytest.mark.parametrize(("target", "dtype", "stall"), CASES)
def test_nothing_but_u_and_v_is_another(refreshed, target, dtype, stall):
    part = written.of_stall(refreshed(target, dtype), stall)
    before = _stale(stall, target, dtype).state_dict()
    assert list(part) == list(before)
    written.assert_same_metadata(part, before)
    vectors = {key for key in before if before[key].ndim == 1 and key.endswith(("_u", "_v"))}
    assert len(vectors) == 2
    kept = set(before) - vectors
    written.assert_equal({k: part[k] for k in kept}, {k: before[k] for k in kept})


@pytest.mark.parametrize("iterations", [1, 4])
@pytest.mark.parametrize(("target", "dtype", "stall"), CASES)
def test_so_many_iterations_are_so_many_training_forwards_of_torch(
    refreshed, target, dtype, stall, iterations
):
    part = written.of_stall(refreshed(target, dtype, iterations=iterations), stall)
    theirs = _stepped(_stale(stall, target, dtype), stall.kind.weight, iterations)
    written.assert_equal(part, theirs.state_dict())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("below", ["spectral", "weight"])
def test_both_steps_of_a_stack_are_those_of_a_training_forward(below, dtype, tmp_path):
    def layer():
        torch.manual_seed(10)
        module = nn.Linear(7, 5).to(getattr(torch, dtype)).eval()
        put = getattr(parametrizations, f"{below}_norm")
        return _stepped(parametrizations.spectral_norm(put(module)), "weight", 2)

    path = written.save(layer().state_dict(), tmp_path / "x.pt")
    normcli.refresh(path, output=tmp_path / "y.pt", iterations=3)
    written.assert_equal(
        written.load(tmp_path / "y.pt"), _stepped(layer(), "weight", 3).state_dict()
    )


@pytest.mark.parametrize("below", ["spectral", "weight"])
def test_every_sigma_of_a_stack_is_exact_afterwards(below, tmp_path):
    torch.manual_seed(11)
    put = getattr(parametrizations, f"{below}_norm")
    module = parametrizations.spectral_norm(put(nn.Linear(7, 5).eval()))
    path = written.save(module.state_dict(), tmp_path / "x.pt")
    normcli.refresh(path, output=tmp_path / "y.pt")
    written.loaded(module, written.load(tmp_path / "y.pt"))
    for norm in modules._norms(module, "weight"):
        if norm.family == "spectral":
            exact = written.singular_value(norm.original, 0)
            assert norm.sigma == pytest.approx(exact, rel=1e-6)


NAN, INF = float("nan"), float("inf")
UNFIT = {"zeros": 0.0, "NaN": NAN, "infinity": INF}


@pytest.mark.parametrize("iterations", [None, 2])
@pytest.mark.parametrize("value", UNFIT.values(), ids=UNFIT)
@pytest.mark.parametrize("put", [spectral_norm, parametrizations.spectral_norm])
def test_an_original_without_singular_vectors_is_left_and_said(put, value, iterations, tmp_path):
    torch.manual_seed(12)
    model = nn.ModuleDict({name: put(nn.Linear(5, 4).eval()) for name in ("dead", "alive")})
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if key.startswith("dead") and tensor.ndim == 2:
                tensor.fill_(value) if value == 0 else tensor[1, 2].fill_(value)
    path = written.save(model.state_dict(), tmp_path / "x.pt")
    done = normcli.refresh(path, output=tmp_path / "y.pt", iterations=iterations)
    assert {each.name for each in done.left} >= {"dead.weight"}
    before, after = model.state_dict(), written.load(tmp_path / "y.pt")
    dead = [key for key in before if key.startswith("dead")]
    written.assert_equal({k: after[k] for k in dead}, {k: before[k] for k in dead})
    (u,) = (key for key in before if key.startswith("alive") and key.endswith("_u"))
    assert not torch.equal(after[u], before[u])
    with pytest.raises(UsageError, match=r"dead\.weight"):
        normcli.refresh(path, output=tmp_path / "z.pt", include=["dead.weight"])


def test_a_refresh_of_plain_weights_and_of_weight_norm_changes_none_of_them(tmp_path):
    torch.manual_seed(13)
    model = nn.ModuleDict({
        "plain": nn.Linear(4, 3), "weight": weight_norm(nn.Linear(4, 3)),
        "spectral": spectral_norm(nn.Linear(4, 3)),
    })  # fmt: skip
    path = written.save(model.state_dict(), tmp_path / "model.pt")
    done = normcli.refresh(path)
    assert str(done.output) == str(tmp_path / "model.refreshed.pt")
    assert [step.name for step in done.steps] == ["spectral.weight"]
    before, after = model.state_dict(), written.load(done.output)
    kept = [key for key in before if key not in {"spectral.weight_u", "spectral.weight_v"}]
    written.assert_equal({k: after[k] for k in kept}, {k: before[k] for k in kept})


@pytest.mark.parametrize("put", [spectral_norm, parametrizations.spectral_norm])
def test_an_axis_that_no_value_tells_is_asked_for(put, tmp_path):
    torch.manual_seed(14)
    state = put(nn.Linear(16, 16).eval()).state_dict()
    for key in state:
        if key.endswith(("_u", "_v")):  # never iterated
            state[key] = nn.functional.normalize(torch.randn(16), dim=0)
    path = written.save(state, tmp_path / "x.pt")
    with pytest.raises(NormcliError, match="weight") as caught:
        normcli.refresh(path, output=tmp_path / "y.pt")
    assert "--dim" in caught.value.hint
    normcli.refresh(path, output=tmp_path / "y.pt", dims={"weight": 0})
    module = written.loaded(put(nn.Linear(16, 16)), written.load(tmp_path / "y.pt"))
    (norm,) = modules._norms(module, "weight")
    exact = written.singular_value(norm.original, 0)
    assert norm.sigma == pytest.approx(exact, rel=1e-6)
