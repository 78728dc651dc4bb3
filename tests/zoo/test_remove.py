"""What remove writes, against what torch's own removal leaves in memory."""

from __future__ import annotations

import copy
from functools import cache

import foreign
import modules
import pytest
import torch
import written
from modules import LAYOUTS
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm
from torch.nn.utils.parametrize import remove_parametrizations
from written import DTYPES

import normcli
from normcli.errors import NormcliError, UsageError

CASES = written.cases("spectral", "weight")
SPECTRAL = [case for case in CASES if case.values[0] == "spectral"]
STACKS = [name for name, layout in LAYOUTS.items() if len(layout.norms) > 1]


@pytest.fixture(scope="module")
def removed(tmp_path_factory):
    """(family, target, dtype, options) → the state dict that `normcli.remove` leaves."""
    folder = tmp_path_factory.mktemp("removed")

    @cache
    def normed(family, target, dtype):
        state = written.menagerie(family, target, dtype, trained=True).state_dict()
        return written.save(state, folder / f"{family}-{target}-{dtype}.pt")

    @cache
    def write(family, target, dtype, **options):
        output = folder / f"{family}-{target}-{dtype}-{len(list(folder.iterdir()))}.pt"
        dims = written.row_axes(family)  # a square weight can hold u and v of two equal axes
        normcli.remove(normed(family, target, dtype), output=output, dims=dims, **options)
        return written.load(output)

    return write


@pytest.mark.parametrize(("family", "target", "dtype", "stalls"), CASES)
def test_what_is_left_is_bit_for_bit_what_torchs_removal_leaves(
    removed, family, target, dtype, stalls
):
    for stall in stalls:
        part = written.of_stall(removed(family, target, dtype), stall)
        theirs = stall.trained(family, target, dtype)
        written.taken_off(theirs, stall)
        written.assert_equal(part, theirs.state_dict())
        written.assert_same_metadata(part, theirs.state_dict())


@pytest.mark.parametrize(("family", "target", "dtype", "stalls"), CASES)
def test_the_plain_layer_computes_as_the_normed_one_does(removed, family, target, dtype, stalls):
    for stall in stalls:
        part = written.of_stall(removed(family, target, dtype), stall)
        plain = written.loaded(stall.make(dtype, salt="fresh"), part)
        theirs = written.output(stall.trained(family, target, dtype))
        assert torch.equal(written.output(plain), theirs)


@pytest.mark.parametrize(("family", "target", "dtype", "stalls"), SPECTRAL)
def test_with_the_exact_sigma_the_weight_has_norm_one(removed, family, target, dtype, stalls):
    for stall in stalls:
        part = written.of_stall(removed(family, target, dtype, sigma="exact"), stall)
        weight = part[stall.kind.weight]
        rounding = 1e-6 + torch.finfo(weight.dtype).eps
        assert written.singular_value(weight, stall.axis) == pytest.approx(1, rel=rounding)
        (norm,) = modules._norms(stall.trained(family, target, dtype), stall.kind.weight)
        expected = norm.original.double() / written.singular_value(norm.original, stall.axis)
        torch.testing.assert_close(weight.double(), expected, rtol=rounding, atol=1e-7)


@pytest.mark.parametrize(("family", "target", "dtype", "stalls"), SPECTRAL)
def test_restoring_gives_the_original(removed, family, target, dtype, stalls):
    for stall in stalls:
        part = written.of_stall(removed(family, target, dtype, restore=True), stall)
        theirs = stall.trained(family, target, dtype)
        (norm,) = modules._norms(theirs, stall.kind.weight)
        assert torch.equal(part[stall.kind.weight], norm.original)
        written.loaded(stall.make(dtype, salt="fresh"), part)
        if target == "parametrized":
            remove_parametrizations(theirs, stall.kind.weight, leave_parametrized=False)
            written.assert_equal(part, theirs.state_dict())


@pytest.mark.parametrize("put", [weight_norm, parametrizations.weight_norm])
def test_nothing_can_be_restored_from_weight_norm(put, tmp_path):
    torch.save(put(nn.Linear(3, 4)).state_dict(), tmp_path / "x.pt")
    with pytest.raises(NormcliError):
        normcli.remove(tmp_path / "x.pt", restore=True, output=tmp_path / "y.pt")
    assert not (tmp_path / "y.pt").exists()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", STACKS)
def test_a_stack_is_taken_off_as_torch_takes_it_off(layout, dtype, tmp_path):
    cases = [modules.Case(kind, layout, dtype) for kind in modules.KINDS]
    model = nn.ModuleDict(
        {str(place): modules.build(case)["layer"] for place, case in enumerate(cases)}
    )
    torch.save(model.state_dict(), tmp_path / "x.pt")
    dims = {
        f"{place}.*": modules.KINDS[case.kind].rows
        for place, case in enumerate(cases)
        if modules.KINDS[case.kind].rows and "weight" not in case.families
    }
    normcli.remove(tmp_path / "x.pt", output=tmp_path / "y.pt", dims=dims)
    for place, case in enumerate(cases):
        modules._taken_off(model[str(place)].eval(), modules.KINDS[case.kind].weight)
    written.assert_equal(written.load(tmp_path / "y.pt"), model.state_dict())


def _after_training(module):
    with torch.no_grad():
        for _ in range(15):
            module.effective()
    return module


FOREIGN = {
    "weight_bar": (lambda: foreign.WeightBar(nn.Linear(7, 5)), "module.weight"),
    "weight_bar, square": (lambda: foreign.WeightBar(nn.Linear(6, 6)), "module.weight"),
    "weight_bar, transposed": (
        lambda: foreign.WeightBar(nn.ConvTranspose2d(3, 5, 3)),
        "module.weight",
    ),
    "weight_bar, float64": (lambda: foreign.WeightBar(nn.Linear(7, 5).double()), "module.weight"),
    "BigGAN": (lambda: foreign.BigGAN(5, 3, 3, 3), "weight"),
    "BigGAN, two values": (lambda: foreign.BigGAN(5, 7, values=2), "weight"),
    "mimicry": (lambda: foreign.Mimicry(5, 3, 3, 3), "weight"),
    "torch 0.4.1": (lambda: foreign.Version0(5, 7), "weight"),
    "torch 0.4.1, transposed": (lambda: foreign.Version0(3, 5, 4, 4, dim=1), "weight"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_norm_leaves_what_its_module_computes_with(name, tmp_path):
    torch.manual_seed(len(name))
    make, key = FOREIGN[name]
    module = _after_training(make())
    state = nn.ModuleDict({"layer": module}).state_dict()
    torch.save(state, tmp_path / "x.pt")
    normcli.remove(tmp_path / "x.pt", output=tmp_path / "y.pt")
    found = written.load(tmp_path / "y.pt")
    biases = {name for name in state if name.endswith("bias")}
    assert set(found) == {f"layer.{key}"} | biases
    with torch.no_grad():
        expected = copy.deepcopy(module).eval().effective()
    # the modules multiply rows where torch multiplies vectors: a few roundings of difference
    exact = name.startswith("torch")
    room = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-5, "atol": 1e-7}
    torch.testing.assert_close(found[f"layer.{key}"], expected, **room)
    written.assert_equal({k: found[k] for k in biases}, {k: state[k] for k in biases})


@pytest.mark.parametrize("name", FOREIGN)
def test_the_original_of_a_foreign_norm_is_restored(name, tmp_path):
    torch.manual_seed(len(name))
    make, key = FOREIGN[name]
    state = nn.ModuleDict({"layer": _after_training(make())}).state_dict()
    torch.save(state, tmp_path / "x.pt")
    normcli.remove(tmp_path / "x.pt", output=tmp_path / "y.pt", restore=True)
    stem = f"layer.{key}"
    stored = next(state[k] for k in (f"{stem}_bar", f"{stem}_orig", stem) if k in state)
    assert torch.equal(written.load(tmp_path / "y.pt")[stem], stored)


def _two_layers():
    torch.manual_seed(5)
    return nn.ModuleDict(
        {"one": spectral_norm(nn.Linear(5, 4)), "two": weight_norm(nn.Linear(4, 3))}
    )


@pytest.mark.parametrize("options", [{"include": ["two*"]}, {"exclude": ["one*"]}], ids=str)
def test_what_is_not_asked_for_stays(options, tmp_path):
    before = written.save(_two_layers().state_dict(), tmp_path / "x.pt")
    done = normcli.remove(before, output=tmp_path / "y.pt", **options)
    assert [step.name for step in done.steps] == ["two.weight"]
    model = _two_layers()
    nn.utils.remove_weight_norm(model["two"])
    written.assert_equal(written.load(tmp_path / "y.pt"), model.state_dict())
    written.assert_same_metadata(written.load(tmp_path / "y.pt"), model.state_dict())


def test_both_families_in_one_file_are_removed_at_once(tmp_path):
    path = written.save(_two_layers().state_dict(), tmp_path / "model.pt")
    done = normcli.remove(path)
    assert str(done.output) == str(tmp_path / "model.plain.pt")
    model = _two_layers()
    nn.utils.remove_spectral_norm(model["one"])
    nn.utils.remove_weight_norm(model["two"])
    written.assert_equal(written.load(tmp_path / "model.plain.pt"), model.state_dict())


@pytest.mark.parametrize("put", [spectral_norm, weight_norm, parametrizations.spectral_norm])
def test_a_division_by_zero_is_left_and_said(put, tmp_path):
    dead = nn.Linear(4, 3)
    nn.init.zeros_(dead.weight)
    torch.manual_seed(6)
    model = nn.ModuleDict({"dead": put(dead), "alive": put(nn.Linear(4, 3))})
    path = written.save(model.state_dict(), tmp_path / "x.pt")
    done = normcli.remove(path, output=tmp_path / "y.pt")
    assert "dead.weight" in {each.name for each in done.left}
    found = written.load(tmp_path / "y.pt")
    assert "alive.weight" in found
    assert "dead.weight" not in found
    with pytest.raises(UsageError, match=r"dead\.weight"):
        normcli.remove(path, output=tmp_path / "z.pt", include=["dead.weight"])
    normcli.remove(path, output=tmp_path / "nan.pt", allow_nonfinite=True)
    assert written.load(tmp_path / "nan.pt")["dead.weight"].isnan().all()


@pytest.mark.parametrize("put", [spectral_norm, parametrizations.spectral_norm])
def test_an_axis_that_no_value_tells_is_asked_for(put, tmp_path):
    holder = nn.Module().eval()
    torch.manual_seed(7)
    holder.weight = nn.Parameter(torch.randn(16, 16))
    put(holder)
    state = nn.ModuleDict({"layer": holder}).state_dict()
    for key in state:
        if key.endswith(("_u", "_v")):  # never iterated
            state[key] = nn.functional.normalize(torch.randn(16), dim=0)
    path = written.save(state, tmp_path / "x.pt")
    with pytest.raises(NormcliError, match=r"layer\.weight") as caught:
        normcli.remove(path, output=tmp_path / "y.pt")
    assert "--dim" in caught.value.hint
    u, v, original = (
        next(state[k] for k in state if k.endswith(end))
        for end in ("_u", "_v", ("_orig", "original"))
    )
    for axis, matrix in ((0, original), (1, original.T)):
        output = tmp_path / f"{axis}.pt"
        normcli.remove(path, output=output, dims={"layer.weight": axis})
        sigma = torch.dot(u, torch.mv(matrix, v))
        torch.testing.assert_close(written.load(output)["layer.weight"], original / sigma)
