"""Which weights apply takes, which it leaves and says so, and what it puts on top of a norm."""

from __future__ import annotations

import pytest
import torch
import written
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm
from written import TARGETS

import normcli
from normcli.errors import UsageError

PUT = {
    ("spectral", "legacy"): spectral_norm,
    ("spectral", "parametrized"): parametrizations.spectral_norm,
    ("weight", "legacy"): weight_norm,
    ("weight", "parametrized"): parametrizations.weight_norm,
}


def _saved(state, path):
    torch.save(state, path)
    return path


def _keys(done):
    return set(written.load(done.output))


def _left(done):
    return {each.name: each.reason for each in done.left}


class Mixed(nn.Module):
    """Weights that norms are put on, and much that only looks like one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.linear = nn.Linear(5, 4)
        self.lstm = nn.LSTM(3, 4)
        self.attention = nn.MultiheadAttention(6, 2)
        self.embedding = nn.Embedding(7, 4)
        self.norm = nn.BatchNorm2d(4)
        self.position = nn.Parameter(torch.randn(1, 9, 4))
        self.register_buffer("table", torch.arange(12).reshape(3, 4))
        self.counts = nn.Module()
        self.counts.register_buffer("weight", torch.arange(12).reshape(3, 4))


TAKEN = {
    "linear.weight", "lstm.weight_ih_l0", "lstm.weight_hh_l0", "attention.in_proj_weight",
    "attention.out_proj.weight", "embedding.weight",
}  # fmt: skip


@pytest.mark.parametrize(("family", "target"), PUT)
def test_matrices_that_are_called_weights_are_taken_and_nothing_else(family, target, tmp_path):
    model = Mixed()
    path = _saved(model.state_dict(), tmp_path / "x.pt")
    done = normcli.apply(path, norm=family, layout=target, output=tmp_path / "y.pt")
    assert {step.name for step in done.steps} == TAKEN
    for name in sorted(TAKEN):
        owner, _, leaf = name.rpartition(".")
        PUT[family, target](model.get_submodule(owner), leaf)
    written.assert_spelled_alike(written.load(tmp_path / "y.pt"), model.state_dict())
    model.load_state_dict(written.load(tmp_path / "y.pt"), strict=True)


@pytest.mark.parametrize("family", ["spectral", "weight"])
def test_include_and_exclude_choose_among_them(family, tmp_path):
    path = _saved(Mixed().state_dict(), tmp_path / "x.pt")
    done = normcli.apply(
        path, norm=family, output=tmp_path / "y.pt", include=["l*"], exclude=["*_ih_*"]
    )
    assert {step.name for step in done.steps} == {"linear.weight", "lstm.weight_hh_l0"}
    untouched = {key for key in Mixed().state_dict() if key not in {s.name for s in done.steps}}
    assert untouched <= _keys(done)


@pytest.mark.parametrize("norm", ["spectral", "weight"])
@pytest.mark.parametrize(("family", "target"), PUT)
def test_a_weight_with_a_norm_is_left_and_said(family, target, norm, tmp_path):
    torch.manual_seed(3)
    model = nn.ModuleDict(
        {"normed": PUT[family, target](nn.Linear(5, 4)), "plain": nn.Linear(5, 4)}
    )
    path = _saved(model.state_dict(), tmp_path / "x.pt")
    done = normcli.apply(path, norm=norm, layout=target, output=tmp_path / "y.pt")
    assert {step.name for step in done.steps} == {"plain.weight"}
    assert "normed.weight" in _left(done)
    before, after = model.state_dict(), written.load(tmp_path / "y.pt")
    kept = {key for key in before if key != "plain.weight"}
    written.assert_equal({k: after[k] for k in kept}, {k: before[k] for k in kept})


@pytest.mark.parametrize("norm", ["spectral", "weight"])
@pytest.mark.parametrize(("family", "target"), PUT)
def test_a_weight_with_a_norm_cannot_be_meant_by_name(family, target, norm, tmp_path):
    model = nn.ModuleDict(
        {"normed": PUT[family, target](nn.Linear(5, 4)), "plain": nn.Linear(5, 4)}
    )
    path = _saved(model.state_dict(), tmp_path / "x.pt")
    with pytest.raises(UsageError, match=r"normed\.weight"):
        normcli.apply(path, norm=norm, output=tmp_path / "y.pt", include=["normed.weight"])
    assert not (tmp_path / "y.pt").exists()


@pytest.mark.parametrize("shape", [(5, 7), (4, 3, 3, 3)], ids=str)
@pytest.mark.parametrize("below", ["spectral", "weight"])
def test_a_stack_is_what_torch_makes_of_spectral_norm_on_top(below, shape, tmp_path):
    def layer():
        module = nn.Module().eval()
        module.weight = nn.Parameter(torch.randn(shape))
        return PUT[below, "parametrized"](module)

    torch.manual_seed(4)
    model = nn.ModuleDict({"layer": layer()})
    path = _saved(model.state_dict(), tmp_path / "x.pt")
    normcli.apply(
        path,
        norm="spectral",
        layout="parametrized",
        stack=True,
        output=tmp_path / "y.pt",
        include=["layer.weight"],
    )
    found = written.load(tmp_path / "y.pt")
    effective = model["layer"].weight.detach()
    before = model.state_dict()
    written.assert_equal({key: found[key] for key in before}, before)
    parametrizations.spectral_norm(model["layer"])
    written.assert_spelled_alike(found, model.state_dict())
    written.assert_same_metadata(found, model.state_dict())
    model.load_state_dict(found, strict=True)
    expected = effective.double() / written.singular_value(effective, 0)
    torch.testing.assert_close(model["layer"].weight.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("below", ["spectral", "weight"])
def test_hooks_cannot_be_stacked(below, tmp_path):
    path = _saved(PUT[below, "legacy"](nn.Linear(5, 4)).state_dict(), tmp_path / "x.pt")
    options = {"norm": "spectral", "layout": "legacy", "stack": True}
    for include in ([], ["weight"]):
        with pytest.raises(UsageError, match=r"'weight'.*only parametrized norms stack"):
            normcli.apply(path, output=tmp_path / "y.pt", include=include, **options)
    assert not (tmp_path / "y.pt").exists()


WAYS = [
    {"norm": "spectral", "layout": "legacy"},
    {"norm": "spectral", "layout": "parametrized"},
    {"norm": "spectral", "layout": "plain"},
    {"norm": "spectral", "layout": "legacy", "iterations": 3},
    {"norm": "weight", "layout": "legacy"},
    {"norm": "weight", "layout": "parametrized"},
]
NAN, INF = float("nan"), float("inf")
UNFIT = {
    "zeros": torch.zeros(4, 3),
    "NaN": torch.tensor([[1.0, NAN], [2, 3]]),
    "infinity": torch.tensor([[1.0, INF], [2, 3]]),
    "zeros in float16": torch.zeros(4, 3).half(),
}


@pytest.mark.parametrize("options", WAYS, ids=str)
@pytest.mark.parametrize("name", UNFIT)
def test_what_no_norm_can_be_put_on_is_left_as_it_is_and_said(name, options, tmp_path):
    state = {"bad.weight": UNFIT[name], "good.weight": torch.eye(3) + 1}
    path = _saved(state, tmp_path / "x.pt")
    done = normcli.apply(path, output=tmp_path / "y.pt", **options)
    found = written.load(tmp_path / "y.pt")
    assert "bad.weight" in _left(done)
    written.assert_equal({"": found["bad.weight"]}, {"": state["bad.weight"]})
    assert not [key for key, tensor in found.items() if key[0] == "g" and tensor.isnan().any()]
    with pytest.raises(UsageError, match=r"bad\.weight"):
        normcli.apply(path, output=tmp_path / "z.pt", include=["bad.weight"], **options)
    assert not (tmp_path / "z.pt").exists()


def test_a_weight_below_the_clip_is_no_mistake_even_by_name(tmp_path):
    state = {"low.weight": torch.eye(3) / 2, "high.weight": torch.eye(3) * 2}
    path = _saved(state, tmp_path / "x.pt")
    options = {"norm": "spectral", "layout": "plain", "clip": 1.0, "include": list(state)}
    normcli.apply(path, output=tmp_path / "y.pt", **options)
    found = written.load(tmp_path / "y.pt")
    assert torch.equal(found["low.weight"], state["low.weight"])
    torch.testing.assert_close(found["high.weight"], torch.eye(3))


def test_a_zero_row_is_left_alone_where_weight_norm_would_divide_by_it(tmp_path):
    weight = torch.ones(3, 4)
    weight[1] = 0
    path = _saved({"a.weight": weight, "b.weight": torch.ones(3, 4)}, tmp_path / "x.pt")
    done = normcli.apply(path, norm="weight", layout="legacy", output=tmp_path / "y.pt")
    assert "a.weight" in _left(done)
    assert torch.equal(written.load(tmp_path / "y.pt")["a.weight"], weight)
    dims = {"a.weight": 1}
    done = normcli.apply(path, norm="weight", layout="legacy", output=tmp_path / "z.pt", dims=dims)
    assert {step.name for step in done.steps} == {"a.weight", "b.weight"}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("family", ["spectral", "weight"])
def test_without_a_name_the_output_stands_beside_its_input(family, target, tmp_path):
    path = _saved({"a.weight": torch.eye(3)}, tmp_path / "model.pt")
    done = normcli.apply(path, norm=family, layout=target)
    assert str(done.output) == str(tmp_path / f"model.{family}.pt")
    assert "a.weight" not in _keys(done)
