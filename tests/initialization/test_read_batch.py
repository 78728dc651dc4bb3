"""A batch from a file of any kind: its tensors, or one line that says what the file is."""

from __future__ import annotations

import argparse
import hashlib
import json
import os

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

from normcli.errors import ChangedError, CheckpointError, RefusedError
from normcli.formats.opened import OpenedFile
from normcli.initialization.batch import read_batch

torch.set_num_threads(1)

TENSORS = "save the tensors alone: safetensors.torch.save_file(tensors, 'batch.safetensors')"
ARRAYS = "save one array with numpy.save, several with safetensors.numpy.save_file"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(path):
    with pytest.raises(CheckpointError) as caught:
        read_batch(path, hashed=False)
    assert caught.value.where == path
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("write", [save_file, torch.save])
def test_the_tensors_of_a_file_are_those_that_were_saved(here, write):
    torch.manual_seed(0)
    tensors = {
        "images": torch.randn(4, 3, 8, 8),
        "half": torch.randn(3).half(),
        "brain": torch.randn(3).bfloat16(),
        "eight": torch.ones(3).to(torch.float8_e4m3fn),
        "ids": torch.arange(6).reshape(2, 3),
        "mask": torch.tensor([True, False]),
        "scalar": torch.tensor(3.5),
        "waves": torch.randn(3, dtype=torch.complex64),
    }
    write(tensors, "batch.bin")
    batch = read_batch("batch.bin", hashed=True)
    assert set(batch.tensors) == set(tensors)
    for name, tensor in batch.tensors.items():
        assert tensor.dtype == tensors[name].dtype
        assert tensor.tolist() == tensors[name].tolist()
    raw = (here / "batch.bin").read_bytes()
    assert batch.file.name == "batch.bin"
    assert batch.file.nbytes == len(raw)
    assert batch.file.sha256 == hashlib.sha256(raw).hexdigest()


def test_the_hint_for_arrays_works(here):
    arrays = {"images": np.ones((2, 3), "f4"), "ids": np.arange(3)}
    save_arrays(arrays, "batch.safetensors")
    tensors = read_batch("batch.safetensors", hashed=False).tensors
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
        name: array.tolist() for name, array in arrays.items()
    }


def test_a_name_in_a_section_is_its_full_name():
    torch.save({"batch": {"x": torch.ones(2)}, "epoch": 3}, "batch.pt")
    assert list(read_batch("batch.pt", hashed=False).tensors) == ["batch/x"]


def test_the_name_is_as_it_was_given_and_nothing_is_hashed_unasked(here):
    (here / "folder").mkdir()
    save_file({"x": torch.ones(2)}, "folder/batch.safetensors")
    file = read_batch("folder/batch.safetensors", hashed=False).file
    assert (file.name, file.sha256) == ("folder/batch.safetensors", "")


def test_a_folder_is_not_a_batch(here):
    (here / "folder").mkdir()
    assert refusal("folder").message == "is a directory, expected a regular file"


def test_a_fifo_does_not_hang():
    os.mkfifo("fifo")
    assert refusal("fifo").message == "is a FIFO, expected a regular file"


def test_a_file_that_is_not_there_is_named():
    assert str(refusal("batch.npy")) == "batch.npy: no such file"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_archive_gets_a_hint_with_both_formats(save):
    save("batch.npz", x=np.ones(3), y=np.ones(4))
    error = refusal("batch.npz")
    assert str(error) == "batch.npz: is an archive of numpy arrays (.npz)"
    assert error.hint == ARRAYS


def test_a_file_of_another_kind_is_told_as_for_a_checkpoint(here):
    (here / "page").write_bytes(b"<!DOCTYPE html>")
    assert refusal("page").message == "is a web page, not a checkpoint"
    (here / "empty").write_bytes(b"")
    assert refusal("empty").message == "is empty"
    (here / "short").write_bytes(b"PK\x03\x04")
    refusal("short")


@pytest.mark.parametrize("write", [save_file, torch.save])
def test_a_file_without_tensors_is_refused(write):
    write({}, "batch.bin")
    error = refusal("batch.bin")
    assert error.message == "holds no tensors"
    assert error.hint == TENSORS


def test_a_tensor_without_entries_is_refused():
    save_file({"x": torch.ones(2), "y": torch.ones(2, 0)}, "batch.safetensors")
    assert refusal("batch.safetensors").message == (
        "'y' has shape [2, 0], expected at least one entry"
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e4m3fn])
def test_values_that_are_no_numbers_are_counted(dtype):
    tensor = torch.tensor([[1.0, float("nan")], [2.0, 3.0]]).to(dtype)
    save_file({"x": torch.ones(2), "y": tensor}, "batch.safetensors")
    error = refusal("batch.safetensors")
    assert str(error) == "batch.safetensors: 'y' holds NaN in 1 of 4 values, expected numbers"
    assert error.hint == "one such value spoils every mean it enters"


def test_what_is_not_read_is_not_dropped():
    torch.save({"x": torch.ones(2), "y": torch.ones(2).to_sparse()}, "batch.pt")
    error = refusal("batch.pt")
    assert error.message == "holds what is not read: 'y' (sparse tensor)"
    assert error.hint == TENSORS


def test_foreign_objects_are_refused():
    torch.save({"x": torch.ones(2), "args": argparse.Namespace(a=1)}, "batch.pt")
    error = refusal("batch.pt")
    assert isinstance(error, RefusedError)
    assert error.message == (
        "refused: holds objects that are not tensors or plain data: argparse.Namespace"
    )
    assert error.hint == f"nothing of them was run; {TENSORS}"


@pytest.mark.skipif(not hasattr(torch, "float4_e2m1fn_x2"), reason="torch before 2.8")
def test_packed_numbers_are_refused():
    packed = torch.zeros(4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    torch.save({"x": packed}, "batch.pt")
    assert refusal("batch.pt").message == ("'x' is float4_e2m1fn_x2, which torch does not compute")


def test_shards_are_refused(here):
    names = [f"batch-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for i, name in enumerate(names):
        save_file({f"x{i}": torch.ones(2)}, name)
    index = {"metadata": {}, "weight_map": {f"x{i}": name for i, name in enumerate(names)}}
    (here / "batch.safetensors.index.json").write_text(json.dumps(index))
    for path in ("batch.safetensors.index.json", names[0]):
        assert "files, expected one" in refusal(path).message


@pytest.mark.parametrize("hashed", [True, False])
def test_a_checkpoint_that_changes_while_it_is_read_is_refused(here, monkeypatch, hashed):
    save_file({"x": torch.ones(2)}, "batch.safetensors")
    read = OpenedFile.read

    def read_and_touch(checkpoint, name):
        tensor = read(checkpoint, name)
        save_file({"x": torch.ones(3)}, "batch.safetensors")
        return tensor

    monkeypatch.setattr(OpenedFile, "read", read_and_touch)
    with pytest.raises(ChangedError, match="changed while it was read"):
        read_batch("batch.safetensors", hashed=hashed)
