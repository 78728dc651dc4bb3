"""Sharded checkpoints: the index and the shards have to agree, and names stay in their folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from shard_files import FIRST, GOOD, INDEX, SECOND, write

from normcli.errors import ChangedError, CheckpointError, RefusedError
from normcli.formats import open_checkpoint


@pytest.mark.parametrize("given", [".", INDEX, FIRST, SECOND])
def test_folder_index_and_shard_open_the_whole(tmp_path, given):
    write(tmp_path)
    with open_checkpoint(tmp_path / given) as checkpoint:
        assert checkpoint.path == str(tmp_path / given)
        assert checkpoint.format == "sharded-safetensors"
        assert [file.name for file in checkpoint.files] == [FIRST, SECOND]
        assert checkpoint.read("a").tolist() == [1.0]
        assert checkpoint.read("b").tolist() == [2.0, 3.0]


@pytest.mark.parametrize("index", ["model.safetensors.index.fp16.json", "x.index.json"])
def test_other_names_of_an_index_are_found(tmp_path, index):
    write(tmp_path, index=index)
    with open_checkpoint(tmp_path) as checkpoint:
        assert list(checkpoint.tensors) == ["a", "b"]


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


DISAGREE = [
    ("the wrong shards", {"a": SECOND, "b": FIRST}, "'b' is in 'model-00001-of-00002.safetensors'"),
    ("a tensor too many", {**GOOD, "c": SECOND}, "says that 'c' is in"),
    ("a tensor too few", {"a": FIRST}, "does not name the shard 'model-00002"),
    ("a missing shard", {**GOOD, "c": "model-00003-of-00003.safetensors"}, "no such file"),
    ("nothing", {}, "empty weight_map"),
    ("the index itself", {**GOOD, "c": INDEX}, "is an index, expected a shard"),
    ("a FIFO", {**GOOD, "c": "pipe"}, "is a FIFO"),
    ("a directory", {**GOOD, "c": "folder"}, "is a directory"),
]


@pytest.mark.parametrize(
    ("weight_map", "fragment"), [case[1:] for case in DISAGREE], ids=[c[0] for c in DISAGREE]
)
def test_what_does_not_agree_is_an_error(tmp_path, weight_map, fragment):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(write(tmp_path, weight_map))
    assert fragment in caught.value.message


def test_a_tensor_in_no_line_of_the_index_is_an_error(tmp_path):
    index = write(tmp_path)
    save_file({"a": torch.zeros(1), "extra": torch.zeros(1)}, tmp_path / FIRST)
    with pytest.raises(CheckpointError, match="says that 'extra' is nowhere"):
        open_checkpoint(index)


def test_a_tensor_in_two_shards_is_an_error(tmp_path):
    index = write(tmp_path)
    save_file({"a": torch.zeros(1), "b": torch.zeros(2)}, tmp_path / FIRST)
    with pytest.raises(CheckpointError, match="says that 'b' is in 'model-00002"):
        open_checkpoint(index)


NAMES = [
    "../../etc/passwd", "/etc/passwd", "a/../../x", "C:\\x", "a\\b", "x\0y", "..", ".", "", "a\nb",
    "x" * 256, 3, None, ["a"],
]  # fmt: skip


@pytest.mark.parametrize("shard", NAMES, ids=repr)
def test_a_shard_that_is_no_plain_file_name_is_refused(tmp_path, shard):
    with pytest.raises(RefusedError, match="no plain file name"):
        open_checkpoint(write(tmp_path, {**GOOD, "c": shard}))


def test_links_are_followed_to_regular_files(tmp_path):
    """As in the cache of Hugging Face."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    snapshot.mkdir()
    write(blobs)
    for name in (FIRST, SECOND, INDEX):
        (snapshot / name).symlink_to(blobs / name)
    with open_checkpoint(snapshot) as checkpoint:
        assert checkpoint.read("a").tolist() == [1.0]


def test_a_link_to_a_device_is_refused(tmp_path):
    index = write(tmp_path)
    (tmp_path / SECOND).unlink()
    (tmp_path / SECOND).symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match="is a device"):
        open_checkpoint(index)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ('{"weight_map": {"a": "x", "a": "y"}}', "key 'a' comes twice"),
        ('{"weight_map": {"a": "x", "\\u0061": "y"}}', "key 'a' comes twice"),
        ('{"weight_map": {}, "weight_map": {}}', "key 'weight_map' comes twice"),
        ('{"weight_map": [', "is not JSON"),
        ('{"weight_map": ["a"]}', "has no weight_map"),
        ('{"weight_map":' + "[" * 100_000, "nests too deep"),
        ('{"weight_map": {"' + "n" * 100_000 + '": "x"}}', "100000 characters"),
    ],
)
def test_a_broken_index_is_an_error(tmp_path, content, fragment):
    (tmp_path / INDEX).write_text(content)
    with pytest.raises(CheckpointError, match=fragment):
        open_checkpoint(tmp_path / INDEX)


def test_shards_of_two_formats_are_an_error(tmp_path):
    index = write(tmp_path)
    torch.save({"b": torch.zeros(2)}, tmp_path / SECOND)
    with pytest.raises(CheckpointError, match="shards of different formats"):
        open_checkpoint(index)


def test_a_wrong_total_is_a_note(tmp_path):
    with open_checkpoint(write(tmp_path, metadata={"total_size": 13})) as checkpoint:
        assert checkpoint.notes == ("the index claims 13 bytes of tensors, the shards hold 12",)
    with open_checkpoint(write(tmp_path, metadata={"total_size": 12})) as checkpoint:
        assert checkpoint.notes == ()


def test_sixty_shards_are_read_and_given_back(tmp_path):
    names = [f"model-{number:05d}-of-00060.safetensors" for number in range(1, 61)]
    for number, name in enumerate(names):
        save_file({f"t{number}": torch.tensor([float(number)])}, tmp_path / name)
    weight_map = {f"t{number}": name for number, name in enumerate(names)}
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    before = open_descriptors()
    with open_checkpoint(tmp_path) as checkpoint:
        assert [checkpoint.read(f"t{n}").item() for n in range(60)] == list(range(60))
    assert open_descriptors() == before


def test_an_error_gives_every_descriptor_back(tmp_path):
    index = write(tmp_path, {**GOOD, "c": SECOND})
    before = open_descriptors()
    with pytest.raises(CheckpointError):
        open_checkpoint(index)
    assert open_descriptors() == before


def test_a_changed_index_is_noticed(tmp_path):
    index = write(tmp_path)
    with open_checkpoint(index) as checkpoint:
        index.write_text("{}")
        with pytest.raises(ChangedError, match="changed"):
            checkpoint.check_unchanged()


def test_tied_tensors_of_torch_shards_are_told_apart(tmp_path):
    for number in (1, 2):
        tensor = torch.zeros(2)
        path = tmp_path / f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({f"a{number}": tensor, f"b{number}": tensor}, path)
    weight_map = {f"{k}{n}": f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2) for k in "ab"}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with open_checkpoint(tmp_path) as checkpoint:
        storages = {name: ref.storage for name, ref in checkpoint.tensors.items()}
    assert storages["a1"] == storages["b1"] != storages["a2"] == storages["b2"] != ""


def test_a_shard_without_index_opens_alone_with_a_note(tmp_path):
    write(tmp_path)
    (tmp_path / INDEX).unlink()
    with open_checkpoint(tmp_path / FIRST) as checkpoint:
        assert list(checkpoint.tensors) == ["a"]
        assert "no index" in checkpoint.notes[0]


def test_a_folder_with_one_model_opens_it(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    torch.save({}, tmp_path / "training_args.bin")
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.files[0].name == "model.safetensors"
        assert checkpoint.notes == ("read model.safetensors of the folder",)


def test_a_folder_with_one_file_of_any_name_opens_it(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "epoch=3.ckpt")
    (tmp_path / "config.json").write_text("{}")
    with open_checkpoint(tmp_path) as checkpoint:
        assert list(checkpoint.tensors) == ["a"]


def test_a_folder_with_several_models_is_an_error(tmp_path):
    for name in ("model.safetensors", "pytorch_model.bin"):
        (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=r"several checkpoints: 'model.safetensors', 'pyt"):
        open_checkpoint(tmp_path)


def test_a_folder_without_a_model_is_an_error(tmp_path):
    (tmp_path / "README.md").touch()
    with pytest.raises(CheckpointError, match="folder without a checkpoint") as caught:
        open_checkpoint(tmp_path)
    assert ".safetensors" in caught.value.hint


def test_a_distributed_checkpoint_is_refused_by_name(tmp_path):
    (tmp_path / ".metadata").write_bytes(b"\x80\x02N.")
    (tmp_path / "__0_0.distcp").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is a distributed checkpoint"):
        open_checkpoint(tmp_path)
