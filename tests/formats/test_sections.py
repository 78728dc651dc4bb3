"""Names of tensors in nested containers, and what is left out by name."""

from __future__ import annotations

import argparse
from collections import OrderedDict

import pytest
import torch
from torch import nn

from normcli.formats import open_checkpoint


@pytest.fixture
def saved(tmp_path, request):
    """Save an object with torch and open it; legacy too where the test is run for both."""

    def save_and_open(value, *, legacy=False, **options):
        path = tmp_path / "by_torch.pt"
        torch.save(value, path, _use_new_zipfile_serialization=not legacy)
        checkpoint = open_checkpoint(path, **options)
        request.addfinalizer(checkpoint.close)
        return checkpoint

    return save_and_open


T = torch.arange(3.0)
SHARED = {"w": T}

NESTED = [
    ("bare", {"conv.weight": T, "epoch": 3}, ["conv.weight"]),
    ("Lightning", {"state_dict": {"a.weight": T}, "epoch": 1}, ["state_dict/a.weight"]),
    ("half of RVC", {"weight": {"dec.weight": T.half()}, "sr": "40k"}, ["weight/dec.weight"]),
    ("several", {"G": {"w": T}, "D": {"w": T + 1}}, ["G/w", "D/w"]),
    ("deep", {"model": {"generator": {"w": T}}}, ["model/generator/w"]),
    ("a list", [{"w": T}, {"w": T + 1}], ["[0]/w", "[1]/w"]),
    ("tensors in a list", {"ema": [T, T + 1]}, ["ema/[0]", "ema/[1]"]),
    ("tensors in a tuple", {"w": T, "more": (T, 3)}, ["w", "more/[0]"]),
    ("a tensor alone", T, ["tensor"]),
    ("integer keys", {1: T, "1": T + 1}, ["1 (int)", "1"]),
    ("other keys", {None: T, 2.5: T, b"b": T, (1, "x"): T},
     ["None (NoneType)", "2.5 (float)", "b'b' (bytes)", "(1, 'x') (tuple)"]),
    ("an integer section", {0: {"w": T}}, ["0 (int)/w"]),
    ("tensors beside dicts", {"w": T, "sub": {"v": T}}, ["w", "sub/v"]),
    ("the same dict twice", {"a": SHARED, "b": SHARED}, ["a/w", "b/w"]),
    ("nothing", {"epoch": 3}, []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "names"), [case[1:] for case in NESTED], ids=[c[0] for c in NESTED]
)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_tensors_are_named_by_their_containers(saved, value, names, legacy):
    assert list(saved(value, legacy=legacy).tensors) == names


def test_section_and_key_are_kept_apart(saved):
    (ref,) = saved({"a/b": {"c/d": T}}).tensors.values()
    assert (ref.section, ref.key, ref.name) == ("a/b", "c/d", "a/b/c/d")


def trained(optimizer, **options):
    model = nn.Linear(3, 2)
    optimizer = optimizer(model.parameters(), lr=0.1, **options)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return model.state_dict(), optimizer.state_dict()


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop])
def test_optimizer_state_is_one_skipped_line(saved, optimizer):
    weights, state = trained(optimizer)
    checkpoint = saved({"G": weights, "optim_G": state})
    assert list(checkpoint.tensors) == ["G/weight", "G/bias"]
    assert [(s.name, s.reason) for s in checkpoint.skipped] == [("optim_G/…", "optimizer state")]


def test_every_optimizer_of_a_list_is_named(saved):
    weights, state = trained(torch.optim.Adam)
    checkpoint = saved({"state_dict": weights, "optimizer_states": [state, state]})
    assert [s.name for s in checkpoint.skipped] == [
        "optimizer_states/[0]/…",
        "optimizer_states/[1]/…",
    ]


def test_an_optimizer_of_unusual_structure_is_known_by_name_and_moments(saved):
    state = {"0": {"exp_avg": T, "exp_avg_sq": T}}
    checkpoint = saved({"model": {"w": T}, "optimizer": state, "optimist": {"w": T}})
    assert list(checkpoint.tensors) == ["model/w", "optimist/w"]


def test_a_state_dict_called_optimizer_is_not_hidden(saved):
    assert list(saved({"optimizer": {"conv.weight": T}}).tensors) == ["optimizer/conv.weight"]


def test_weights_cannot_hide_behind_the_key_state(saved):
    value = {"state": {"conv.weight": T}, "param_groups": [{"params": [0]}]}
    assert "state/conv.weight" in saved(value).tensors


def test_foreign_objects_inside_optimizer_state_are_found(saved):
    _, state = trained(torch.optim.Adam)
    state["param_groups"][0]["extra"] = argparse.Namespace(x=1)
    checkpoint = saved({"optim": state}, allow_opaque=True)
    assert [o.place for o in checkpoint.opaque] == ["optim.param_groups.[0].extra"]


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_metadata_of_each_state_dict_is_kept_by_section(saved, legacy):
    model = nn.Sequential(
        nn.BatchNorm1d(3), nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3))
    )
    weights = model.state_dict()
    checkpoint = saved({"G": weights}, legacy=legacy)
    assert checkpoint.metadata == {"G": dict(weights._metadata)}
    assert list(checkpoint.tensors) == [f"G/{key}" for key in weights]


def test_parameters_and_buffers_are_tensors_like_others(saved):
    parameter = nn.Parameter(torch.randn(2, 3))
    marked = nn.Parameter(torch.randn(2))
    marked.origin = "here"
    checkpoint = saved({"p": parameter, "m": marked, "b": nn.Buffer(torch.zeros(2))})
    assert torch.equal(checkpoint.read("p"), parameter.detach())
    assert list(checkpoint.tensors) == ["p", "m", "b"]
    assert checkpoint.notes == ("Python attributes of 1 tensors were ignored",)


def test_a_module_that_was_pickled_whole_is_its_state_dict(saved):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sequential(nn.Linear(2, 2)))
    checkpoint = saved({"net": model}, allow_opaque=True)
    expected = model.state_dict()
    assert list(checkpoint.tensors) == [f"net/{key}" for key in expected]
    for key, tensor in expected.items():
        assert torch.equal(checkpoint.read(f"net/{key}"), tensor)
    places = {opaque.what.rsplit(".", 1)[1]: opaque.place for opaque in checkpoint.opaque}
    assert places["Conv2d"] == "net.0"
    assert places["Linear"] == "net.2.0"


def unread_tensors():
    return {
        "sparse": torch.eye(2).to_sparse(),
        "meta": torch.zeros(2, device="meta"),
        "quantized": torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.qint8),
        "nested": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
        "conj": torch.zeros(2, dtype=torch.complex64).conj(),
    }


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_tensors_of_other_kinds_are_skipped_by_kind_and_name(saved):
    checkpoint = saved({"w": T, **unread_tensors()})
    assert list(checkpoint.tensors) == ["w"]
    assert {s.name: s.reason for s in checkpoint.skipped} == {
        "sparse": "sparse tensor",
        "meta": "meta tensor",
        "quantized": "quantized tensor",
        "nested": "nested tensor",
        "conj": "conj view",
    }


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_plain_data_beside_tensors_is_no_foreign_object(saved, legacy):
    value = OrderedDict(
        w=T, size=torch.Size([1, 2]), device=torch.device("cuda:0"), dtype=torch.float16,
        chosen={1, 2}, frozen=frozenset("ab"), raw=b"\x00\xff", text="ß", big=2**100, none=None,
    )  # fmt: skip
    assert saved(value, legacy=legacy).opaque == ()
