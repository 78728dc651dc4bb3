"""Verifying: whatever is not as planned is found once the output is opened again."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch
from produced import write_file, write_folder
from safetensors.torch import save_file

from normcli.errors import OutputError
from normcli.formats import Draft, blueprint, open_checkpoint, verify

torch.set_num_threads(1)

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(3), "n": torch.tensor(4)}


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.safetensors"
    save_file(TENSORS, path)
    with open_checkpoint(path) as checkpoint:
        yield checkpoint


@pytest.fixture
def output(source, tmp_path):
    """(path, blueprint, checksums) of a written file."""
    planned = blueprint(source, Draft(), "safetensors")
    path = tmp_path / "out.safetensors"
    return path, planned, write_file(planned, path)


@pytest.mark.parametrize("workers", [1, 3])
def test_what_was_written_as_planned_passes(output, workers):
    path, planned, checksums = output
    verify(str(path), planned, checksums, workers=workers)


def test_a_descriptor_of_a_file_without_a_name_is_verified(output):
    path, planned, checksums = output
    with path.open("rb") as file:
        path.unlink()
        verify(f"/proc/self/fd/{file.fileno()}", planned, checksums, workers=1)


def test_a_folder_of_shards_is_verified(source, tmp_path):
    planned = blueprint(source, Draft(max_shard_size=24), "sharded-safetensors")
    checksums = write_folder(planned, tmp_path / "out")
    assert set(checksums) == set(TENSORS)
    verify(str(tmp_path / "out"), planned, checksums, workers=2)


def assert_found(output, fragment):
    path, planned, checksums = output
    with pytest.raises(OutputError, match="was not written as planned") as caught:
        verify(str(path), planned, checksums, workers=2)
    assert fragment in caught.value.message
    assert caught.value.where == str(path)
    assert caught.value.hint


def test_every_flipped_byte_of_a_tensor_is_found(output):
    path, planned, _ = output
    raw = path.read_bytes()
    for place in range(len(raw) - sum(each.nbytes for each in planned.tensors.values()), len(raw)):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        assert_found(output, "has CRC-32")


def test_a_missing_end_is_found(output):
    os.truncate(output[0], output[0].stat().st_size - 1)
    assert_found(output, "end at byte")


def test_another_file_in_its_place_is_found(output):
    torch.save(TENSORS, output[0])
    assert_found(output, "its format is torch-zip, expected safetensors")


CHANGED = [
    ("a missing tensor", {"a": TENSORS["a"], "n": TENSORS["n"]}, "'b' is missing"),
    ("a tensor too many", {**TENSORS, "x": torch.ones(1)}, "'x'"),
    ("another shape", {**TENSORS, "b": torch.ones(1, 3)}, "'b' is float32 [1, 3]"),
    ("another dtype", {**TENSORS, "b": torch.ones(3).int()}, "'b' is int32 [3]"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("tensors", "fragment"), [case[1:] for case in CHANGED], ids=[case[0] for case in CHANGED]
)
def test_another_header_is_found(output, tensors, fragment):
    save_file(tensors, output[0])
    assert_found(output, fragment)


def test_another_order_is_found(output):
    path, planned, checksums = output
    turned = dict(reversed(planned.tensors.items()))
    assert_found((path, replace(planned, tensors=turned), checksums), "where 'b' should be")
