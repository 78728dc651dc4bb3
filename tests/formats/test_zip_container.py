"""The rules of the zip container: every archive that could be read in two ways is refused."""

from __future__ import annotations

import time
import zlib

import hostile
import pytest
import torch
from zip_files import (
    GOOD,
    another_count,
    broken_directory,
    compressed,
    encrypted,
    encrypted_locally,
    huge_count,
    larger,
    many_entries,
    moved,
    nul_name,
    other_disk,
    outside,
    patched,
    repacked,
    shifted,
    unequal,
    with_entry,
)

from normcli.errors import CheckpointError, RefusedError
from normcli.formats import open_checkpoint

BROKEN = [
    ("junk in front", b"junk" + GOOD, "is not a checkpoint"),
    ("a zip in front", GOOD[:60] + GOOD, ""),
    ("junk behind", GOOD + b"junk", "does not end with a zip end record"),
    ("a comment", GOOD[:-2] + b"\x04\0note", "does not end with a zip end record"),
    ("DATA.PKL", with_entry("archive/DATA.PKL"), "two zip entries of one name"),
    ("a second folder", with_entry("other/data.pkl"), "not in one top folder"),
    ("an entry in no folder", with_entry("data.pkl"), "not in one top folder"),
    ("another local name", patched(b"archive/data/0", b"archive/data/9", count=1), "another name"),
    ("encrypted", repacked(encrypted), "is encrypted"),
    ("encrypted locally", repacked(encrypted_locally), "is encrypted"),
    ("overlapping", repacked(moved), "overlaps"),
    ("outside", repacked(outside), "lies outside"),
    ("larger", repacked(larger), "behind the start of the directory"),
    ("unequal sizes", repacked(unequal), "expected 17"),
    ("another count", repacked(another_count), "its 3 entries"),
    ("a huge count", repacked(huge_count), "is damaged"),
    ("another disk", repacked(other_disk), "several disks"),
    ("a broken directory", repacked(broken_directory), "is damaged"),
    ("NUL in a name", repacked(nul_name), "is named"),
    ("no data.pkl", GOOD.replace(b"data.pkl", b"data.txt"), "without data.pkl"),
    ("a byte order of its own", hostile.archive(b"", byteorder=b"middle"), "byte order"),
    ("end record alone", b"PK\x05\x06" + bytes(18), "empty zip"),
]


@pytest.mark.parametrize(
    ("content", "fragment"), [case[1:] for case in BROKEN], ids=[c[0] for c in BROKEN]
)
def test_a_broken_rule_is_an_error(assert_refused, content, fragment):
    assert_refused(content, fragment)


def test_the_good_archive_is_read(opened):
    assert list(opened(GOOD).tensors) == ["a"]


def test_two_entries_of_one_name_are_refused(assert_refused):
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = with_entry("archive/data.pkl")
    assert_refused(content, "two zip entries of one name")


def test_something_in_front_of_the_first_entry_is_refused(assert_refused):
    assert_refused(shifted(), "has 32 bytes before its first zip entry")


@pytest.mark.parametrize("name", ["data.pkl", "data/0"])
def test_a_compressed_record_is_refused(assert_refused, name):
    assert_refused(compressed(name), f"its record '{name}' is compressed", hint="unpack")


def test_a_deflated_bomb_is_never_unpacked(opened):
    bomb = zlib.compress(bytes(1_000_000))
    checkpoint = opened(with_entry("archive/extra/notes", bomb))
    assert list(checkpoint.tensors) == ["a"]


def test_bit_rot_in_the_pickle_is_found(assert_refused):
    assert_refused(patched(b"_rebuild_tensor_v2", b"_rebuild_tensor_v3"), "CRC-32")


def test_bit_rot_in_a_record_is_found_when_it_is_read(opened):
    content = bytearray(GOOD)
    at = content.index(b"archive/data/0") + len(b"archive/data/0")
    content[at + 3] ^= 1
    with pytest.raises(CheckpointError, match=r"'a': record 'data/0' has CRC-32"):
        opened(bytes(content)).read("a")


def test_bit_rot_beside_a_partial_view_is_found(opened):
    part = hostile.tensor(shape=(1,))
    content = bytearray(hostile.archive(hostile.state_dict(a=part)))
    content[content.index(b"archive/data/0") + len(b"archive/data/0") + 15] ^= 1
    with pytest.raises(CheckpointError, match="CRC-32"):
        opened(bytes(content)).read("a")


def test_a_tensor_without_elements_does_not_vouch_for_its_record(opened):
    data = hostile.state_dict(none=hostile.tensor(shape=(0,)), a=hostile.tensor())
    content = bytearray(hostile.archive(data))
    content[content.index(b"archive/data/0") + len(b"archive/data/0")] ^= 1
    checkpoint = opened(bytes(content))
    assert checkpoint.read("none").shape == (0,)
    with pytest.raises(CheckpointError, match="CRC-32"):
        checkpoint.read("a")


def test_zip64_with_70000_entries_is_read(opened):
    content = many_entries(70_000)
    start = time.process_time()
    checkpoint = opened(content)
    assert time.process_time() - start < 30  # not how fast, but that it ends
    assert list(checkpoint.tensors) == ["a"]


def test_more_entries_than_the_budget_are_refused(assert_refused):
    content = many_entries(2_000)
    assert_refused(content, "claims 2000 entries", kind=RefusedError, budget_scale=0.005)


def test_big_endian_files_are_swapped(opened):
    values = torch.tensor([1.0, -2.5, 3e-5, float("inf")])
    swapped = values.numpy().byteswap().tobytes()
    content = hostile.archive(
        hostile.state_dict(a=hostile.tensor()), {"0": swapped}, byteorder=b"big"
    )
    assert torch.equal(opened(content).read("a"), values)


def test_big_endian_complex_numbers_are_swapped_by_halves(opened):
    values = torch.tensor([1 + 2j, -3.5 + 0.25j])
    swapped = values.numpy().byteswap().tobytes()
    node = hostile.tensor(kind="ComplexFloatStorage", numel=2, shape=(2,))
    content = hostile.archive(hostile.state_dict(a=node), {"0": swapped}, byteorder=b"big")
    assert torch.equal(opened(content).read("a"), values)


def test_an_archive_without_byteorder_is_little_endian(opened):
    content = hostile.archive(hostile.state_dict(a=hostile.tensor()), byteorder=None)
    assert opened(content).read("a").tolist() == [0.0] * 4


def test_a_folder_name_in_any_script_is_read(opened):
    content = hostile.archive(hostile.state_dict(a=hostile.tensor()), top="模型 ß")
    assert list(opened(content).tensors) == ["a"]


def test_a_hundred_thousand_tensors_are_not_too_many(tmp_path):
    tensors = {f"layers.{i}.weight": torch.zeros(1, 1) for i in range(100_000)}
    torch.save(tensors, tmp_path / "many.pt")
    with open_checkpoint(tmp_path / "many.pt") as checkpoint:
        assert list(checkpoint.tensors) == list(tensors)
