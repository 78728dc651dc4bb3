"""What a draft changes in a torch file, and what it leaves alone; torch.load is the oracle."""

from __future__ import annotations

import argparse
from collections import OrderedDict

import hostile
import pytest
import torch
from produced import write_file
from same_content import assert_same

from normcli.errors import CheckpointError, RefusedError
from normcli.formats import open_checkpoint
from normcli.formats.writers.draft import Draft
from normcli.formats.writers.torch_writer import flat_torch_blueprint, torch_blueprint
from normcli.records import Given, TensorRef

torch.set_num_threads(1)


def line(name, tensor, *, storage=""):
    section, _, key = name.rpartition("/")
    dtype = str(tensor.dtype).removeprefix("torch.")
    return TensorRef(section, key, tuple(tensor.shape), dtype, tensor.nbytes, storage)


def made(place, **tensors):
    """Made tensors in the place of `place`; a key `a__b` is `a.b`."""
    section = place.rpartition("/")[0]
    given = []
    for key, tensor in tensors.items():
        name = key.replace("__", ".")
        given.append(Given(line(f"{section}/{name}" if section else name, tensor), place))
    return tuple(given)


def kept(place, name, like):
    return Given(line(name, like), place, kept=place)


def drafted(content, folder, *, tensors=None, save=torch.save, weights_only=True, **draft):
    """Save with torch, write with a draft, load with torch; the blueprint comes with it."""
    source, target = folder / "in.pt", folder / "out.pt"
    save(content, source)
    with open_checkpoint(source, allow_opaque=True) as checkpoint:
        planned = torch_blueprint(checkpoint, Draft(**draft))
        write_file(planned, target, tensors or {})
    with open_checkpoint(target) as checkpoint:
        shown = {name: (ref.shape, ref.dtype) for name, ref in checkpoint.tensors.items()}
    assert shown == {name: (ref.shape, ref.dtype) for name, ref in planned.tensors.items()}
    return torch.load(target, weights_only=weights_only, mmap=True), planned


def test_made_tensors_stand_where_the_old_one_stood(tmp_path):
    state = OrderedDict(a=torch.ones(2), w=torch.randn(3, 4), z=torch.zeros(1))
    g, v = torch.randn(3, 1), torch.randn(3, 4).half()
    loaded, planned = drafted(
        {"sd": state, "epoch": 4},
        tmp_path,
        tensors={"sd/w_g": g, "sd/w_v": v},
        places={"sd/w": made("sd/w", w_g=g, w_v=v)},
    )
    expected = OrderedDict(a=state["a"], w_g=g, w_v=v, z=state["z"])
    assert_same(loaded, {"sd": expected, "epoch": 4})
    assert planned.files[0].order == ("sd/w_g", "sd/w_v")


def test_a_kept_tensor_changes_its_name_and_nothing_else(tmp_path):
    weight = torch.nn.Parameter(torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last))
    loaded, _ = drafted(
        {"w": weight, "tied": weight}, tmp_path, places={"w": (kept("w", "w_orig", weight),)}
    )
    assert list(loaded) == ["w_orig", "tied"]
    assert loaded["w_orig"] is loaded["tied"]
    assert type(loaded["w_orig"]) is torch.nn.Parameter
    assert loaded["w_orig"].stride() == weight.stride()


def test_a_tensor_without_a_successor_vanishes_with_its_bytes(tmp_path):
    state = {"big": torch.randn(1000), "small": torch.ones(2)}
    loaded, planned = drafted(state, tmp_path, places={"big": ()})
    assert list(loaded) == ["small"]
    assert planned.nbytes < 2000


def test_made_tensors_of_one_storage_share_it(tmp_path):
    value = torch.randn(2, 3)
    state = {"a": torch.ones(2, 3), "b": torch.ones(2, 3)}
    places = {name: (Given(line(name, value, storage="tie"), name),) for name in state}
    loaded, planned = drafted(state, tmp_path, tensors={"a": value}, places=places)
    assert planned.files[0].order == ("a",)
    assert loaded["a"].data_ptr() == loaded["b"].data_ptr()
    assert torch.equal(loaded["b"], value)


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "uint16", "bool", "complex128", "bfloat16"])
def test_made_tensors_have_any_dtype_and_are_written_contiguously(dtype, tmp_path):
    value = torch.ones(4, 3).to(getattr(torch, dtype)).t()
    loaded, _ = drafted(
        {"w": torch.ones(1)}, tmp_path, tensors={"w": value}, places={"w": made("w", w=value)}
    )
    assert loaded["w"].is_contiguous()
    assert loaded["w"].dtype == value.dtype
    assert loaded["w"].shape == value.shape
    assert loaded["w"].tolist() == value.tolist()


def test_a_shared_container_changes_only_under_the_path_that_is_named(tmp_path):
    state = OrderedDict(w=torch.ones(2), rest=[1])
    new = torch.zeros(3)
    loaded, _ = drafted(
        {"a": state, "b": state, "c": state}, tmp_path,
        tensors={"a/w": new}, places={"a/w": made("a/w", w=new)},
    )  # fmt: skip
    assert loaded["a"]["w"].shape == (3,)
    assert loaded["b"] is loaded["c"]
    assert loaded["b"]["rest"] is loaded["a"]["rest"]
    assert torch.equal(loaded["b"]["w"], torch.ones(2))


def test_a_container_that_holds_itself_holds_the_changed_one(tmp_path):
    content = {"w": torch.ones(2), "inner": [{}]}
    content["inner"][0]["up"] = content
    loaded, _ = drafted(content, tmp_path, places={"w": ()})
    assert "w" not in loaded
    assert loaded["inner"][0]["up"] is loaded


def test_a_list_takes_one_tensor_for_one(tmp_path):
    new = torch.zeros(3)
    given = Given(TensorRef("l", "[1]", (3,), "float32", 12), "l/[1]")
    loaded, _ = drafted(
        {"l": [1, torch.ones(2)], "t": (torch.ones(1),)}, tmp_path,
        tensors={"l/[1]": new}, places={"l/[1]": (given,)},
    )  # fmt: skip
    assert torch.equal(loaded["l"][1], new)
    with pytest.raises(CheckpointError, match="only one tensor can take its place"):
        drafted({"l": [1, torch.ones(2)]}, tmp_path, places={"l/[1]": ()})


def test_an_output_key_that_exists_is_refused_by_name(tmp_path):
    state = {"sd": {"w": torch.ones(2), "w_orig": torch.ones(2)}}
    places = {"sd/w": (kept("sd/w", "sd/w_orig", torch.ones(2)),)}
    with pytest.raises(CheckpointError, match="'sd/w_orig' would be written twice"):
        drafted(state, tmp_path, places=places)
    loaded, _ = drafted(state, tmp_path, places={**places, "sd/w_orig": ()})
    assert list(loaded["sd"]) == ["w_orig"]


def test_new_metadata_keeps_the_entries_that_do_not_change(tmp_path):
    state = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 2)).state_dict()
    new = {**state._metadata, "1": {"version": 1, "spectral_norm": {"weight.version": 1}}}
    loaded, _ = drafted({"sd": state}, tmp_path, metadata={"sd": new})
    assert type(loaded["sd"]._metadata) is OrderedDict
    assert loaded["sd"]._metadata == new
    plain, _ = drafted({"sd": dict(state)}, tmp_path, metadata={"sd": new})
    assert type(plain["sd"]) is dict


def optimizers():
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2)).sum().backward()
    optimizer.step()
    return {
        "state_dict": model.state_dict(), "optimizer": optimizer.state_dict(),
        "optimizer_states": [optimizer.state_dict()], "epoch": 1,
    }  # fmt: skip


def test_optimizer_states_are_left_out_where_that_is_asked_for(tmp_path):
    content = optimizers()
    loaded, planned = drafted(content, tmp_path, drop_optimizer=True)
    del content["optimizer"]
    assert_same(loaded, {**content, "optimizer_states": []})
    names = [(each.name, each.reason) for each in planned.dropped]
    assert names == [
        ("optimizer/…", "optimizer state"),
        ("optimizer_states/[0]/…", "optimizer state"),
    ]


def test_tensors_of_an_optimizer_are_not_those_of_the_model(tmp_path):
    content = {"m": {"w": torch.ones(2)}, "m/w": {"state": {}, "param_groups": []}}
    content["optimizer"] = {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": []}
    loaded, _ = drafted(content, tmp_path, places={"m/w": ()})
    content["m"] = {}
    assert_same(loaded, content)


def foreign():
    return {
        "sd": OrderedDict(w=torch.ones(2)), "args": argparse.Namespace(lr=1),
        "list": [1, argparse.Namespace(), 2], "tuple": (argparse.Namespace, 3),
        "held": argparse.Namespace(ema={"shadow": torch.zeros(3)}), "epoch": 2,
        "optimizer": {"state": {}, "param_groups": [{"params": [0], "cfg": argparse.Namespace()}]},
    }  # fmt: skip


def test_foreign_objects_are_refused_by_name(tmp_path):
    with pytest.raises(RefusedError, match=r"argparse\.Namespace") as caught:
        drafted(foreign(), tmp_path)
    assert "--drop-opaque" in caught.value.hint


def test_foreign_objects_are_left_out_where_that_is_asked_for(tmp_path):
    loaded, planned = drafted(foreign(), tmp_path, drop_opaque=True)
    expected = {
        "sd": OrderedDict(w=torch.ones(2)), "list": [1, None, 2], "tuple": (None, 3), "epoch": 2,
        "optimizer": {"state": {}, "param_groups": [{"params": [0]}]},
    }  # fmt: skip
    assert_same(loaded, expected)
    assert [each.name for each in planned.dropped] == [
        "args", "list/[1]", "tuple/[0]", "held", "optimizer/param_groups/[0]/cfg",
        "held/ema/shadow",
    ]  # fmt: skip


class Marked(torch.Tensor):
    """A class of tensors that only this file knows."""


def test_a_tensor_of_a_foreign_class_becomes_a_plain_one(tmp_path):
    weight = torch.randn(3, 2).t()
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.owner = argparse.Namespace()
    loaded, planned = drafted(
        {"w": weight.as_subclass(Marked), "p": parameter}, tmp_path, drop_opaque=True
    )
    assert type(loaded["w"]) is torch.Tensor
    assert loaded["w"].stride() == weight.stride()
    assert torch.equal(loaded["w"], weight)
    assert torch.equal(loaded["p"], torch.ones(2))
    assert {each.name for each in planned.dropped} == {"w", "p"}


def net():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Sequential(torch.nn.BatchNorm1d(3)))
    model[1][0].register_buffer("scratch", torch.zeros(1), persistent=False)
    return model


def test_a_pickled_module_becomes_its_state_dict(tmp_path):
    model = net()
    loaded, planned = drafted({"model": model, "ema": model}, tmp_path, drop_opaque=True)
    assert {name: t.tolist() for name, t in loaded["model"].items()} == {
        name: t.tolist() for name, t in model.state_dict().items()
    }
    assert loaded["ema"] is loaded["model"]
    net().load_state_dict(loaded["model"], strict=True)
    assert planned.dropped[0].name == "model/…"


def test_a_place_in_a_pickled_module_is_changed_in_its_state_dict(tmp_path):
    model, g = net(), torch.randn(3, 1)
    places = {
        "0.weight": (
            Given(TensorRef("", "0.weight_g", (3, 1), "float32", 12), "0.weight"),
            kept("0.weight", "0.weight_v", model[0].weight),
        )
    }
    loaded, _ = drafted(model, tmp_path, tensors={"0.weight_g": g}, places=places, drop_opaque=True)
    expected = torch.nn.Sequential(torch.nn.utils.weight_norm(model[0]), model[1])
    assert set(loaded) == set(expected.state_dict())
    assert torch.equal(loaded["0.weight_g"], g)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_torchscript_becomes_its_state_dict(tmp_path):
    model = net().eval()
    script = torch.jit.script(model)
    loaded, planned = drafted(script, tmp_path, save=lambda m, path: m.save(str(path)))
    assert type(loaded) is OrderedDict
    assert set(script.state_dict()) <= set(loaded)
    for name, tensor in script.state_dict().items():
        assert torch.equal(loaded[name], tensor)
    assert planned.format == "torch-zip"
    assert "torchscript" in planned.notes[0]
    assert "TorchScript code" in [each.reason for each in planned.dropped]


def test_a_view_that_overlaps_is_refused_for_writing(tmp_path):
    content = {"w": torch.arange(6.0).as_strided((2, 3), (1, 1)), "ok": torch.ones(1)}
    with pytest.raises(RefusedError, match="'w' is not written"):
        drafted(content, tmp_path)
    loaded, _ = drafted(content, tmp_path, places={"w": ()})
    assert list(loaded) == ["ok"]


def test_a_place_that_the_output_does_not_hold_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="'held/ema/shadow'"):
        drafted(foreign(), tmp_path, places={"held/ema/shadow": ()}, drop_opaque=True)


def test_the_file_loads_strictly_into_the_module_that_the_plan_means(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Conv2d(1, 2, 3))
    state = model.state_dict()
    torch.nn.utils.spectral_norm(model[0])
    u, v = model[0].weight_u, model[0].weight_v
    places = {
        "0.weight": (
            kept("0.weight", "0.weight_orig", state["0.weight"]),
            *made("0.weight", **{"0__weight_u": u, "0__weight_v": v}),
        )
    }
    loaded, _ = drafted(state, tmp_path, tensors={"0.weight_u": u, "0.weight_v": v}, places=places)
    fresh = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Conv2d(1, 2, 3))
    torch.nn.utils.spectral_norm(fresh[0])
    fresh.load_state_dict(loaded, strict=True)
    image = torch.randn(2, 3)
    assert torch.equal(fresh[0].eval()(image), model[0].eval()(image))


def test_big_endian_storages_are_swapped(tmp_path):
    values = torch.randn(4)
    swapped = values.numpy().byteswap().tobytes()
    data = hostile.state_dict(w=hostile.tensor())
    source, target = tmp_path / "in.pt", tmp_path / "out.pt"
    source.write_bytes(hostile.archive(data, {"0": swapped}, byteorder=b"big"))
    with open_checkpoint(source) as checkpoint:
        write_file(torch_blueprint(checkpoint, Draft()), target)
    assert torch.equal(torch.load(target, weights_only=True)["w"], values)


def test_a_damaged_storage_stops_the_writing(tmp_path):
    source = tmp_path / "in.pt"
    torch.save({"w": torch.ones(300)}, source)
    content = bytearray(source.read_bytes())
    content[content.index(torch.ones(300).numpy().tobytes()) + 100] ^= 1
    source.write_bytes(content)
    with open_checkpoint(source) as checkpoint:
        planned = torch_blueprint(checkpoint, Draft())
        with pytest.raises(CheckpointError, match="CRC-32") as caught:
            write_file(planned, tmp_path / "out.pt")
    assert caught.value.where == str(source)


def test_given_tensors_are_written_as_one_state_dict(tmp_path):
    tied = torch.randn(2, 3)
    source, target = tmp_path / "in.pt", tmp_path / "out.pt"
    channels = torch.randn(1, 2, 3, 3).to(memory_format=torch.channels_last)
    torch.save({"a": {"w": tied, "v": tied, "c": channels}}, source)
    new = torch.ones(2).half()
    given = [
        Given(line("w", tied), "a/w", kept="a/w"), Given(line("n", new), "a/w"),
        Given(line("c", channels), "a/c", kept="a/c"), Given(line("v", tied), "a/v", kept="a/v"),
    ]  # fmt: skip
    with open_checkpoint(source) as checkpoint:
        planned = flat_torch_blueprint(checkpoint, given, {"": {"": {"version": 1}}}, name="s.bin")
        write_file(planned, target, {"n": new})
    assert planned.files[0].name == "s.bin"
    loaded = torch.load(target, weights_only=True, mmap=True)
    assert list(loaded) == ["w", "n", "c", "v"]
    assert loaded._metadata == {"": {"version": 1}}
    assert loaded["w"].data_ptr() == loaded["v"].data_ptr()
    for name, tensor in {"w": tied, "v": tied, "n": new, "c": channels}.items():
        assert torch.equal(loaded[name], tensor)


def test_safetensors_becomes_a_state_dict_with_its_strings_and_its_ties(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    source, target = tmp_path / "in.safetensors", tmp_path / "out.pt"
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    model[1].weight = model[0].weight
    safetensors.save_model(model, source, {"note": "é"})
    with open_checkpoint(source) as checkpoint:
        write_file(torch_blueprint(checkpoint, Draft()), target)
    loaded = torch.load(target, weights_only=True, mmap=True)
    assert type(loaded) is OrderedDict
    model.load_state_dict(loaded, strict=True)
    assert loaded["0.weight"].data_ptr() == loaded["1.weight"].data_ptr()
    assert loaded._metadata[""]["safetensors"]["note"] == "é"
    assert "1.weight" not in loaded._metadata[""]["safetensors"]
