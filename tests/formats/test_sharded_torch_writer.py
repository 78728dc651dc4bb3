"""Sharded torch checkpoints out, read by torch.load."""

from __future__ import annotations

import argparse
import json

import pytest
import torch
from produced import converted
from reader_tests import DTYPES, assert_bit_equal, random_bytes
from safetensors.torch import save_model

from normcli.errors import RefusedError
from normcli.formats import Draft, blueprint, open_checkpoint, verify
from normcli.records import Given, TensorRef

torch.set_num_threads(1)

FIRST = "pytorch_model-00001-of-00002.bin"
SECOND = "pytorch_model-00002-of-00002.bin"
INDEX = "pytorch_model.bin.index.json"
SHARDED = "sharded-torch"


def line(name, shape, section="", **more):
    return TensorRef(section, name, shape, "float32", 4 * torch.Size(shape).numel(), **more)


def load_folder(folder):
    """All tensors, and what the index says."""
    index = json.loads((folder / INDEX).read_text())
    tensors = {}
    for shard in sorted(set(index["weight_map"].values())):
        held = torch.load(folder / shard, weights_only=True)
        assert {name for name, place in index["weight_map"].items() if place == shard} == set(held)
        tensors.update(held)
    return tensors, index


def write(value, tmp_path):
    torch.save(value, tmp_path / "in.pt")
    return tmp_path / "in.pt"


def test_a_torch_file_is_split_into_shards_that_torch_loads(tmp_path):
    tensors = {str(dtype): random_bytes((3, 4), dtype) for dtype in DTYPES}
    planned = converted(write(tensors, tmp_path), tmp_path / "out", SHARDED, max_shard_size=100)
    verify(str(tmp_path / "out"), planned, {}, workers=2)
    loaded, index = load_folder(tmp_path / "out")
    assert set(loaded) == set(tensors)
    for name, tensor in loaded.items():
        assert_bit_equal(tensor, tensors[name])
    assert index["metadata"]["total_size"] == sum(each.nbytes for each in tensors.values())
    assert len(set(index["weight_map"].values())) == len(planned.files) - 1 > 5


def test_what_fits_into_one_shard_has_the_known_name(tmp_path):
    planned = converted(
        write({"a": torch.ones(2)}, tmp_path), tmp_path / "out", SHARDED, max_shard_size=8
    )
    assert planned.format == "torch-zip"
    (file,) = (tmp_path / "out").iterdir()
    assert file.name == "pytorch_model.bin"
    assert torch.load(file)["a"].tolist() == [1, 1]


def test_tied_tensors_stay_together_and_tied(tmp_path):
    tied = torch.ones(4)
    tensors = {"b": tied, "x": torch.zeros(4), "a": tied}
    converted(write(tensors, tmp_path), tmp_path / "out", SHARDED, max_shard_size=16)
    loaded, index = load_folder(tmp_path / "out")
    assert loaded["a"].data_ptr() == loaded["b"].data_ptr()
    assert index["metadata"]["total_size"] == 32
    assert [torch.load(tmp_path / "out" / name).keys() for name in (FIRST, SECOND)] == [
        {"b": 0, "a": 0}.keys(), {"x": 0}.keys(),
    ]  # fmt: skip


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.out = torch.nn.Linear(3, 4)
        self.emb = torch.nn.Embedding(4, 3)
        self.emb.weight = self.out.weight


def test_recorded_ties_of_safetensors_are_tied_again(tmp_path):
    model = Tied()
    save_model(model, str(tmp_path / "in.safetensors"), metadata={"author": "é"})
    converted(tmp_path / "in.safetensors", tmp_path / "out", SHARDED, max_shard_size=48)
    loaded, index = load_folder(tmp_path / "out")
    assert loaded["emb.weight"].data_ptr() == loaded["out.weight"].data_ptr()
    assert index["metadata"]["total_size"] == 64
    for name, tensor in model.state_dict().items():
        assert_bit_equal(loaded[name], tensor)
    converted(tmp_path / "out", tmp_path / "again.safetensors")
    with open_checkpoint(tmp_path / "again.safetensors") as checkpoint:
        assert checkpoint.strings == {
            "author": "é", "format": "pt", "out.weight": "emb.weight",
        }  # fmt: skip


def test_made_tensors_that_are_tied_are_made_once(tmp_path):
    ones = torch.ones(2)
    places = {
        name: (Given(line(f"{name}2", (3,), "G", storage="s"), f"G/{name}"),) for name in "ab"
    }
    planned = converted(
        write({"G": {"a": ones, "b": ones, "c": torch.zeros(3)}}, tmp_path),
        tmp_path / "out",
        SHARDED,
        places={f"G/{name}": gives for name, gives in places.items()},
        made={"G/a2": torch.arange(3.0), "G/b2": torch.arange(3.0)},
        max_shard_size=12,
    )
    assert len([name for file in planned.files for name in file.order]) == 1
    loaded, _ = load_folder(tmp_path / "out")
    assert sorted(loaded) == ["G.a2", "G.b2", "G.c"]
    assert loaded["G.a2"].tolist() == loaded["G.b2"].tolist() == [0, 1, 2]
    assert loaded["G.a2"].data_ptr() == loaded["G.b2"].data_ptr()


def test_shards_load_into_the_modules_that_wrote_them(tmp_path):
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.utils.spectral_norm(torch.nn.Linear(2, 2))
    )
    state = model.state_dict()
    converted(write(state, tmp_path), tmp_path / "out", SHARDED, max_shard_size=16)
    with open_checkpoint(tmp_path / "out") as checkpoint:
        assert checkpoint.metadata == {"": dict(state._metadata)}
    for shard in sorted((tmp_path / "out").glob("*.bin")):
        held = torch.load(shard, weights_only=True)
        model.load_state_dict(held, strict=False)


# Shards that stay


def sharded(folder, *, first=(), second=(), legacy=False):
    folder.mkdir()
    tensors = {"a": torch.ones(2), "w": torch.randn(3, 4).t(), **dict(first)}
    torch.save(tensors, folder / FIRST, _use_new_zipfile_serialization=not legacy)
    torch.save({"c": torch.zeros(4), **dict(second)}, folder / SECOND)
    weight_map = {"a": FIRST, "w": FIRST, "c": SECOND}
    content = {"metadata": {"total_size": 72, "k": 1}, "weight_map": weight_map}
    (folder / INDEX).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_shard_without_a_change_is_the_same_bytes(tmp_path, legacy):
    source = sharded(tmp_path / "in", second={"epoch": 3}, legacy=legacy)
    places = {"a": (Given(line("a_orig", (2,)), "a", kept="a"), Given(line("a_u", (1,)), "a"))}
    planned = converted(
        source, tmp_path / "out", SHARDED, places=places, made={"a_u": torch.ones(1)}
    )
    verify(str(tmp_path / "out"), planned, {}, workers=2)
    assert (tmp_path / "out" / SECOND).read_bytes() == (source / SECOND).read_bytes()
    first = torch.load(tmp_path / "out" / FIRST, weights_only=True)
    assert list(first) == ["a_orig", "a_u", "w"]
    assert_bit_equal(first["w"], torch.load(source / FIRST)["w"])
    index = json.loads((tmp_path / "out" / INDEX).read_text())
    assert index == {
        "metadata": {"total_size": 76, "k": 1},
        "weight_map": {"a_orig": FIRST, "a_u": FIRST, "c": SECOND, "w": FIRST},
    }


def test_nothing_changed_is_a_copy(tmp_path):
    source = sharded(tmp_path / "in", first={"epoch": 3})
    planned = converted(source, tmp_path / "out", SHARDED)
    verify(str(tmp_path / "out"), planned, {}, workers=2)
    for name in (FIRST, SECOND):
        assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()


def test_foreign_objects_are_refused_until_they_may_be_dropped(tmp_path):
    source = sharded(tmp_path / "in", second={"args": argparse.Namespace(lr=1)})
    with (
        open_checkpoint(source, allow_opaque=True) as checkpoint,
        pytest.raises(RefusedError, match=r"argparse\.Namespace"),
    ):
        blueprint(checkpoint, Draft(), SHARDED)
    planned = converted(source, tmp_path / "out", SHARDED, drop_opaque=True)
    assert planned.dropped
    assert list(torch.load(tmp_path / "out" / SECOND, weights_only=True)) == ["c"]
    assert (tmp_path / "out" / FIRST).read_bytes() == (source / FIRST).read_bytes()


def test_torch_shards_become_safetensors_shards(tmp_path):
    source = sharded(tmp_path / "in")
    converted(source, tmp_path / "out", "sharded-safetensors", max_shard_size=48)
    with open_checkpoint(tmp_path / "out") as checkpoint, open_checkpoint(source) as before:
        assert list(checkpoint.tensors) == ["a", "c", "w"]
        for name in before.tensors:
            assert torch.equal(checkpoint.read(name), before.read(name))
