"""Sharded checkpoints out: shards that stay as they are, and shards of a given size."""

from __future__ import annotations

import json
import re

import pytest
import torch
from produced import converted
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from normcli.errors import CheckpointError, RefusedError, UsageError
from normcli.formats import Draft, blueprint, open_checkpoint, verify
from normcli.formats.writers.splitting import split
from normcli.records import Given, TensorRef

torch.set_num_threads(1)

FIRST = "model-00001-of-00002.safetensors"
SECOND = "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"
SHARDED = "sharded-safetensors"
PT = {"format": "pt"}


def line(name, shape, dtype="float32", **more):
    nbytes = torch.Size(shape).numel() * getattr(torch, dtype).itemsize
    return TensorRef("", name, shape, dtype, nbytes, **more)


def load_folder(folder):
    """All tensors, and what the index says, as transformers reads them."""
    index = json.loads(next(folder.glob("*.index.json")).read_text())
    tensors = {}
    for shard in sorted(set(index["weight_map"].values())):
        load = load_file if shard.endswith(".safetensors") else torch.load
        held = load(folder / shard)
        assert all(index["weight_map"][name] == shard for name in held)
        tensors.update(held)
    assert set(tensors) == set(index["weight_map"])
    return tensors, index


def metadata_of(path):
    with safe_open(path, "pt") as file:
        return file.metadata()


def values(tensors):
    return {name: tensor.tolist() for name, tensor in tensors.items()}


# Sizes of tensors, limit → sizes shard by shard; written by hand from what huggingface_hub does.
SPLITS = [
    ("its own example", [6, 6, 2, 6, 2, 2], 10, [[6], [6, 2], [6, 2, 2]]),
    ("all in one", [1, 2, 3], 6, [[1, 2, 3]]),
    ("each alone", [3, 3, 3], 3, [[3], [3], [3]]),
    ("one above the limit comes first", [2, 9, 3], 5, [[9], [2, 3]]),
    ("only above the limit", [9, 8], 5, [[9], [8]]),
    ("one above the limit at the end", [2, 4, 9], 5, [[2], [9], [4]]),
    ("empty tensors", [0, 5, 0, 5, 0], 5, [[0, 5, 0], [5, 0]]),
    ("exactly full", [2, 3, 5, 1], 5, [[2, 3], [5], [1]]),
    ("nothing", [], 5, [[]]),
]


@pytest.mark.parametrize(
    ("sizes", "limit", "expected"), [case[1:] for case in SPLITS], ids=[case[0] for case in SPLITS]
)
def test_shards_are_filled_as_huggingface_hub_does(sizes, limit, expected):
    named = {f"t{number}": size for number, size in enumerate(sizes)}
    assert [[named[name] for name in shard] for shard in split(named, limit)] == expected


def test_a_file_is_split_into_shards_with_an_index(tmp_path):
    tensors = {"c": torch.zeros(4), "a": torch.ones(5), "b": torch.arange(3)}
    torch.save(tensors, tmp_path / "in.pt")
    planned = converted(tmp_path / "in.pt", tmp_path / "out", SHARDED, max_shard_size=40)
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert planned.format == SHARDED
    assert [file.name for file in planned.files] == [*names, INDEX]
    loaded, index = load_folder(tmp_path / "out")
    assert values(loaded) == values(tensors)
    assert index == {
        "metadata": {"total_size": 60},
        "weight_map": {"a": names[0], "b": names[1], "c": names[0]},
    }
    assert (tmp_path / "out" / INDEX).read_text() == json.dumps(index, indent=2) + "\n"
    for name, held in zip(names, ("ac", "b"), strict=True):
        save_file({key: tensors[key] for key in held}, tmp_path / "theirs", metadata=dict(PT))
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "theirs").read_bytes()


def test_what_fits_into_one_shard_is_one_file_without_an_index(tmp_path):
    save_file({"a": torch.ones(5)}, tmp_path / "in.safetensors", metadata=dict(PT))
    planned = converted(tmp_path / "in.safetensors", tmp_path / "out", SHARDED, max_shard_size=20)
    assert planned.format == "safetensors"
    (file,) = (tmp_path / "out").iterdir()
    assert file.name == "model.safetensors"
    assert file.read_bytes() == (tmp_path / "in.safetensors").read_bytes()


def test_shards_of_another_size_hold_the_same(tmp_path):
    tensors = {f"t{number:02d}": torch.full((number,), float(number)) for number in range(12)}
    save_file(tensors, tmp_path / "in.safetensors", metadata={"author": "me", **PT})
    for number, limit in enumerate((24, 100, 7)):
        source = tmp_path / (f"out{number - 1}" if number else "in.safetensors")
        converted(source, tmp_path / f"out{number}", SHARDED, max_shard_size=limit)
        loaded, index = load_folder(tmp_path / f"out{number}")
        assert values(loaded) == values(tensors)
        assert index["metadata"]["total_size"] == 4 * 66
        for shard in set(index["weight_map"].values()):
            assert metadata_of(tmp_path / f"out{number}" / shard) == {"author": "me", **PT}


def test_shards_become_one_file(tmp_path):
    tensors = {f"t{number}": torch.full((5,), float(number)) for number in range(4)}
    save_file(tensors, tmp_path / "in.safetensors", metadata=dict(PT))
    converted(tmp_path / "in.safetensors", tmp_path / "out", SHARDED, max_shard_size=40)
    converted(tmp_path / "out", tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (
        tmp_path / "in.safetensors"
    ).read_bytes()


def test_ties_are_recorded_in_the_shard_of_the_kept_tensor(tmp_path):
    tied, other = torch.ones(4), torch.zeros(4)
    torch.save({"b": tied, "x": other, "a": tied, "y": other}, tmp_path / "in.pt")
    converted(tmp_path / "in.pt", tmp_path / "out", SHARDED, max_shard_size=16)
    loaded, index = load_folder(tmp_path / "out")
    assert sorted(loaded) == ["a", "x"]
    assert index["metadata"]["total_size"] == 32
    assert metadata_of(tmp_path / "out" / index["weight_map"]["a"]) == {"b": "a", **PT}
    assert metadata_of(tmp_path / "out" / index["weight_map"]["x"]) == {"y": "x", **PT}


def test_module_metadata_goes_where_the_tensors_go_and_comes_back(tmp_path):
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.utils.spectral_norm(torch.nn.Linear(2, 2))
    )
    state = model.state_dict()
    torch.save(state, tmp_path / "in.pt")
    converted(tmp_path / "in.pt", tmp_path / "out", SHARDED, max_shard_size=16)
    with open_checkpoint(tmp_path / "out") as checkpoint:
        assert checkpoint.metadata == {"": dict(state._metadata)}
        shards = [set(each.metadata.get("", {})) for each in checkpoint.shards.values()]
    assert all("0" in held or "2" in held for held in shards)
    assert sum("1" in held for held in shards) == 1


def test_without_a_size_there_must_be_shards(tmp_path):
    save_file({"a": torch.ones(5)}, tmp_path / "in.safetensors")
    with (
        open_checkpoint(tmp_path / "in.safetensors") as checkpoint,
        pytest.raises(UsageError, match="no sharded-safetensors files that could stay") as caught,
    ):
        blueprint(checkpoint, Draft(), SHARDED)
    assert "--max-shard-size" in caught.value.hint


def test_other_content_is_refused_as_in_one_file(tmp_path):
    torch.save({"a": torch.ones(5), "epoch": 3}, tmp_path / "in.pt")
    with open_checkpoint(tmp_path / "in.pt") as checkpoint:
        with pytest.raises(RefusedError, match="'epoch'"):
            blueprint(checkpoint, Draft(max_shard_size=9), SHARDED)
        draft = Draft(max_shard_size=9, drop_opaque=True)
        assert [each.name for each in blueprint(checkpoint, draft, SHARDED).dropped] == ["epoch"]


# Shards that stay


def sharded(folder, *, index_content=None, metadata=PT):
    folder.mkdir()
    save_file({"a": torch.ones(2), "b": torch.ones(3)}, folder / FIRST, metadata=dict(metadata))
    save_file({"c": torch.zeros(4), "d": torch.zeros(1)}, folder / SECOND, metadata={"x": "y"})
    weight_map = {"d": SECOND, "a": FIRST, "c": SECOND, "b": FIRST}
    content = index_content or {"metadata": {"total_size": 40}}
    (folder / INDEX).write_text(json.dumps({**content, "weight_map": weight_map}))
    return folder


def test_a_shard_without_a_change_is_the_same_bytes(tmp_path):
    source = sharded(tmp_path / "in")
    gives = (Given(line("b_orig", (3,)), "b", kept="b"), Given(line("b_u", (5,)), "b"))
    planned = converted(
        source, tmp_path / "out", SHARDED, places={"b": gives}, made={"b_u": torch.arange(5.0)}
    )
    assert [file.name for file in planned.files] == [FIRST, SECOND, INDEX]
    assert [file.order for file in planned.files] == [("b_u",), (), ()]
    assert (tmp_path / "out" / SECOND).read_bytes() == (source / SECOND).read_bytes()
    loaded, index = load_folder(tmp_path / "out")
    assert values(loaded) == {
        "a": [1, 1], "b_orig": [1, 1, 1], "b_u": [0, 1, 2, 3, 4], "c": [0, 0, 0, 0], "d": [0],
    }  # fmt: skip
    assert index["metadata"] == {"total_size": 60}
    assert metadata_of(tmp_path / "out" / FIRST) == PT


def test_nothing_changed_is_a_copy_that_verifies(tmp_path):
    source = sharded(tmp_path / "in")
    with open_checkpoint(source) as checkpoint:
        planned = blueprint(checkpoint, Draft(), SHARDED)
        (tmp_path / "out").mkdir()
        checksums = {}
        for file in planned.files:
            with (tmp_path / "out" / file.name).open("wb") as out:
                checksums.update(file.write(out, {}.get))
        assert set(checksums) == {"a", "b", "c", "d"}
        verify(str(tmp_path / "out"), planned, checksums, workers=2)
    for shard in (FIRST, SECOND):
        assert (tmp_path / "out" / shard).read_bytes() == (source / shard).read_bytes()


def test_the_rest_of_the_index_stays(tmp_path):
    content = {"metadata": {"total_size": 1.0, "author": "é"}, "more": [1, {"k": None}]}
    source = sharded(tmp_path / "in", index_content=content)
    converted(source, tmp_path / "out", SHARDED, places={"c": ()})
    index = json.loads((tmp_path / "out" / INDEX).read_text())
    assert index == {
        "metadata": {"total_size": 24, "author": "é"},
        "more": [1, {"k": None}],
        "weight_map": {"a": FIRST, "b": FIRST, "d": SECOND},
    }
    text = json.dumps(index, indent=2, sort_keys=True) + "\n"
    assert (tmp_path / "out" / INDEX).read_text() == text


def test_an_index_that_json_cannot_hold_again_is_an_error(tmp_path):
    source = sharded(tmp_path / "in")
    index = source / INDEX
    index.write_text(index.read_text().replace("40", "1e999"))
    with open_checkpoint(source) as checkpoint:
        assert blueprint(checkpoint, Draft(), SHARDED)  # its total is made anew
    index.write_text(index.read_text().replace("total_size", "other"))
    with (
        open_checkpoint(source) as checkpoint,
        pytest.raises(CheckpointError, match="its index cannot be written again"),
    ):
        blueprint(checkpoint, Draft(), SHARDED)


def test_a_name_in_two_shards_is_an_error(tmp_path):
    source = sharded(tmp_path / "in")
    places = {"a": (Given(line("c", (2,)), "a", kept="a"),)}
    with (
        open_checkpoint(source) as checkpoint,
        pytest.raises(CheckpointError, match=re.escape(f"'c' would be in '{FIRST}' and in")),
    ):
        blueprint(checkpoint, Draft(places=places), SHARDED)


def test_a_shard_without_tensors_is_left_out(tmp_path):
    source = sharded(tmp_path / "in")
    planned = converted(source, tmp_path / "out", SHARDED, places={"c": (), "d": ()})
    assert [file.name for file in planned.files] == [FIRST, INDEX]
    assert planned.notes == (f"{SECOND}: left out, no tensor is left in it",)
    with open_checkpoint(tmp_path / "out") as checkpoint:
        assert list(checkpoint.tensors) == ["a", "b"]


def test_no_tensor_at_all_is_an_error(tmp_path):
    with (
        open_checkpoint(sharded(tmp_path / "in")) as checkpoint,
        pytest.raises(CheckpointError, match="no tensor is left"),
    ):
        blueprint(checkpoint, Draft(places=dict.fromkeys("abcd", ())), SHARDED)


def test_a_tensor_of_another_shard_is_read_from_there(tmp_path):
    source = sharded(tmp_path / "in")
    gives = (Given(line("b_orig", (4,)), "b", kept="c"), Given(line("b_u", (1,)), "b"))
    planned = converted(
        source,
        tmp_path / "out",
        SHARDED,
        places={"b": gives, "c": ()},
        made={"b_u": torch.tensor([7.0])},
    )
    assert [file.order for file in planned.files] == [("b_u",), (), ()]
    loaded, index = load_folder(tmp_path / "out")
    assert values(loaded) == {"a": [1, 1], "b_orig": [0, 0, 0, 0], "b_u": [7], "d": [0]}
    assert index["weight_map"]["b_orig"] == FIRST


def test_what_torch_cannot_read_stays_in_a_shard_that_is_copied(tmp_path):
    import struct

    source = sharded(tmp_path / "in")
    entry = {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}
    raw = json.dumps({"packed": entry}).encode()
    (source / SECOND).write_bytes(struct.pack("<Q", len(raw)) + raw + b"\x12\x34")
    weight_map = {"a": FIRST, "b": FIRST, "packed": SECOND}
    (source / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    converted(source, tmp_path / "out", SHARDED, places={"b": ()})
    assert (tmp_path / "out" / SECOND).read_bytes() == (source / SECOND).read_bytes()
    index = json.loads((tmp_path / "out" / INDEX).read_text())
    assert index["weight_map"] == {"a": FIRST, "packed": SECOND}
    with open_checkpoint(tmp_path / "out") as checkpoint:
        assert list(checkpoint.tensors) == ["a"]


def test_metadata_changes_only_the_shards_that_it_belongs_to(tmp_path):
    text = json.dumps({"": {"m": {"version": 1}, "n": {"version": 2}}})
    source = sharded(tmp_path / "in", metadata={"normcli.state_dict_metadata": text, **PT})
    new = {"m": {"version": 9}, "b": {"version": 1}, "b.parametrizations.0": {"version": 1}}
    gives = (Given(line("b.orig", (3,)), "b", kept="b"),)
    converted(source, tmp_path / "out", SHARDED, places={"b": gives}, metadata={"": new})
    assert (tmp_path / "out" / SECOND).read_bytes() == (source / SECOND).read_bytes()
    with open_checkpoint(tmp_path / "out") as checkpoint:
        assert checkpoint.metadata == {"": new}


def test_a_changed_input_shard_is_noticed_in_the_copy(tmp_path):
    source = sharded(tmp_path / "in")
    with open_checkpoint(source) as checkpoint:
        planned = blueprint(checkpoint, Draft(), SHARDED)
        (source / SECOND).write_bytes((source / SECOND).read_bytes()[:-4])
        with (
            (tmp_path / "shard").open("wb") as out,
            pytest.raises(CheckpointError, match="ends at or before byte"),
        ):
            planned.files[1].write(out, {}.get)
