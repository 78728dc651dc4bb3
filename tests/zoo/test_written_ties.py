"""Tensors that share their memory: what stays tied, and what a norm unties."""

from __future__ import annotations

import pytest
import torch
import written
from safetensors import safe_open
from safetensors.torch import load_file, load_model, save_model
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

import normcli

PUT = {
    ("spectral", "legacy"): spectral_norm,
    ("spectral", "parametrized"): parametrizations.spectral_norm,
    ("weight", "legacy"): weight_norm,
    ("weight", "parametrized"): parametrizations.weight_norm,
}
ORIGINAL = {  # the part that is the weight itself
    ("spectral", "legacy"): "weight_orig",
    ("spectral", "parametrized"): "parametrizations.weight.original",
    ("weight", "legacy"): "weight_v",
    ("weight", "parametrized"): "parametrizations.weight.original1",
}
OTHER = {"legacy": "parametrized", "parametrized": "legacy"}
SUFFIXES = (".pt", ".safetensors")


def _tied():
    """An embedding whose weight is that of the last layer as well."""
    torch.manual_seed(1)
    model = nn.ModuleDict({"emb": nn.Embedding(7, 4), "out": nn.Linear(4, 7, bias=False)})
    model["out"].weight = model["emb"].weight
    return model.eval()


def _half_normed(family, target):
    model = _tied()
    PUT[family, target](model["out"])
    if family == "spectral":
        written.modules._train(model["out"], "weight")
    return model.eval()


def _twice(family, target):
    """One module under two names."""
    torch.manual_seed(2)
    layer = nn.Linear(5, 4).eval()
    if target != "plain":
        PUT[family, target](layer)
        if family == "spectral":
            written.modules._train(layer, "weight")
    return nn.ModuleDict({"a": layer, "b": layer}).eval()


def _all_of(path):
    """Every name with its tensor, and the groups of names that share one."""
    if path.suffix == ".pt":
        state = written.load(path)
        memory = {}
        for name, tensor in state.items():
            memory.setdefault(tensor.untyped_storage().data_ptr(), set()).add(name)
        return state, {frozenset(names) for names in memory.values() if len(names) > 1}
    state, groups = load_file(path), {}
    with safe_open(path, framework="pt") as file:
        for dropped, kept in (file.metadata() or {}).items():
            if kept in state:
                groups.setdefault(kept, {kept}).add(dropped)
    for kept, names in groups.items():
        state |= dict.fromkeys(names, state[kept])
    return state, {frozenset(names) for names in groups.values()}


def _run(verb, model, folder, suffix, **options):
    """From a `.pt`, in which torch keeps what is tied, to either format."""
    torch.save(model.state_dict(), folder / "x.pt")
    output = folder / f"y{suffix}"
    if suffix == ".pt" or verb is normcli.convert:
        verb(folder / "x.pt", output=output, **options)
    else:
        verb(folder / "x.pt", output=folder / "between.pt", **options)
        normcli.convert(folder / "between.pt", output=output)
    return output


def _load(model, path):
    """Strictly, under every name; safetensors' own loader does it where torch's hook lets it.

    The loading hook of spectral norm asks for a `weight` where one of its names is missing.
    """
    if path.suffix == ".safetensors" and not hasattr(model["a"], "weight_orig"):
        load_model(model, path, strict=True)
    else:
        model.load_state_dict(_all_of(path)[0], strict=True)
    return model.eval()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("family", "target"), PUT)
def test_the_original_of_a_normed_layer_stays_tied_to_the_plain_one(
    family, target, suffix, tmp_path
):
    options = {"norm": family, "layout": target, "include": ["out.weight"]}
    path = _run(normcli.apply, _tied(), tmp_path, suffix, **options)
    state, groups = _all_of(path)
    original = f"out.{ORIGINAL[family, target]}"
    assert groups == {frozenset({"emb.weight", original})}
    assert torch.equal(state[original], _tied()["emb"].weight)
    assert torch.equal(state["emb.weight"], _tied()["emb"].weight)
    model = _tied()
    PUT[family, target](model["out"])
    written.assert_spelled_alike(state, model.state_dict())
    if family == "weight":
        written.assert_equal(state, model.state_dict())


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("family", "target"), PUT)
def test_two_tied_weights_that_both_get_a_norm_share_their_original(
    family, target, suffix, tmp_path
):
    path = _run(normcli.apply, _tied(), tmp_path, suffix, norm=family, layout=target)
    state, groups = _all_of(path)
    part = ORIGINAL[family, target]
    assert any({f"emb.{part}", f"out.{part}"} <= group for group in groups)
    for name in ("emb", "out"):
        assert torch.equal(state[f"{name}.{part}"], _tied()["emb"].weight)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("family", "target"), PUT)
def test_removal_gives_the_layer_a_weight_of_its_own_and_leaves_the_other(
    family, target, suffix, tmp_path
):
    model = _half_normed(family, target)
    path = _run(normcli.remove, model, tmp_path, suffix)
    shared, own = model["emb"].weight.detach().clone(), model["out"].weight.detach().clone()
    state, groups = _all_of(path)
    assert set(state) == {"emb.weight", "out.weight"}
    assert not groups
    assert torch.equal(state["emb.weight"], shared)
    if target == "legacy":
        own = written.modules._taken_off(model["out"], "weight")
    assert torch.equal(state["out.weight"], own)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("family", "target"), PUT)
def test_one_module_under_two_names_is_baked_once(family, target, suffix, tmp_path):
    model = _twice(family, target)
    path = _run(normcli.remove, model, tmp_path, suffix)
    state, groups = _all_of(path)
    pair = {frozenset({f"a.{leaf}", f"b.{leaf}"}) for leaf in ("weight", "bias")}
    assert groups == pair
    expected = written.modules._taken_off(model["a"], "weight")
    assert torch.equal(state["a.weight"], expected)
    assert torch.equal(state["b.weight"], expected)
    fresh = _load(_twice(family, "plain"), path)
    assert torch.equal(fresh["a"].weight, expected)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("family", "target"), PUT)
def test_one_module_under_two_names_is_respelled_as_one(family, target, suffix, tmp_path):
    before = _twice(family, OTHER[target])
    path = _run(normcli.convert, before, tmp_path, suffix, layout=target)
    state, groups = _all_of(path)
    theirs = _twice(family, target).state_dict()
    written.assert_spelled_alike(state, theirs)
    assert groups == {frozenset({name, f"b{name[1:]}"}) for name in theirs if name.startswith("a.")}
    module = _load(_twice(family, target), path)
    assert torch.equal(written.output(module["b"]), written.output(before["a"]))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("family", "target"), PUT)
def test_one_module_under_two_names_gets_one_norm(family, target, suffix, tmp_path):
    path = _run(
        normcli.apply, _twice(family, "plain"), tmp_path, suffix, norm=family, layout=target
    )
    state, groups = _all_of(path)
    pair = {f"{name}.{ORIGINAL[family, target]}" for name in "ab"}
    assert any(pair <= group for group in groups)
    for key in [key for key in state if key.startswith("a.")]:
        assert torch.equal(state[key], state[f"b{key[1:]}"])


@pytest.mark.parametrize("target", written.TARGETS)
@pytest.mark.parametrize("family", ["spectral", "weight"])
def test_what_save_model_wrote_once_is_respelled_for_all_its_names(family, target, tmp_path):
    before = _twice(family, OTHER[target])
    save_model(before, str(tmp_path / "x.safetensors"))
    normcli.convert(tmp_path / "x.safetensors", output=tmp_path / "y.safetensors", layout=target)
    module = _load(_twice(family, target), tmp_path / "y.safetensors")
    assert torch.equal(written.output(module["b"]), written.output(before["a"]))


@pytest.mark.parametrize("target", written.TARGETS)
def test_a_refreshed_module_under_two_names_stays_one(target, tmp_path):
    model = _twice("spectral", target)
    torch.save(model.state_dict(), tmp_path / "x.pt")
    before = _all_of(tmp_path / "x.pt")[1]
    normcli.refresh(tmp_path / "x.pt", output=tmp_path / "y.pt")
    state, groups = _all_of(tmp_path / "y.pt")
    assert groups == before
    written.assert_spelled_alike(state, model.state_dict())


@pytest.mark.parametrize("verb", ["convert", "refresh"])
def test_a_tie_of_two_plain_tensors_survives_whatever_happens_beside_it(verb, tmp_path):
    model = _tied()
    model["layer"] = spectral_norm(nn.Linear(5, 3))
    torch.save(model.state_dict(), tmp_path / "x.pt")
    options = {"layout": "parametrized"} if verb == "convert" else {}
    getattr(normcli, verb)(tmp_path / "x.pt", output=tmp_path / "y.pt", **options)
    state, groups = _all_of(tmp_path / "y.pt")
    assert groups == {frozenset({"emb.weight", "out.weight"})}
    assert torch.equal(state["emb.weight"], model["emb"].weight)
