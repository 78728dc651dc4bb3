"""The rules of the zip container: every archive that could be read in two ways is refused."""

from __future__ import annotations

import io
import struct
import time
import zipfile
import zlib

import hostile
import pytest
import torch

from normcli.errors import CheckpointError, RefusedError
from normcli.formats import open_checkpoint

GOOD = hostile.archive(hostile.state_dict(a=hostile.tensor()))


def repacked(change):
    """The good archive after `change` was applied to a mutable copy."""
    content = bytearray(GOOD)
    change(content)
    return bytes(content)


def patched(old, new, *, count=-1):
    assert GOOD.count(old) >= 1
    return GOOD.replace(old, new, count)


def with_entry(name, content=b"x"):
    return hostile.archive(hostile.state_dict(a=hostile.tensor()), extra=[(name, content)])


def central(content, name):
    """Offset of the directory entry of that name."""
    start = content.rindex(name) - 46
    assert content[start : start + 4] == b"PK\x01\x02"
    return start


def encrypted(content):
    content[central(content, b"archive/data/0") + 8] |= 1


def encrypted_locally(content):
    content[6] |= 1


def moved(content):
    """The directory says that data/0 begins where data.pkl does."""
    struct.pack_into("<I", content, central(content, b"archive/data/0") + 42, 0)


def outside(content):
    struct.pack_into("<I", content, central(content, b"archive/data/0") + 42, len(content))


def larger(content):
    struct.pack_into("<II", content, central(content, b"archive/version") + 20, 5000, 5000)
    struct.pack_into("<II", content, content.index(b"archive/version") - 12, 5000, 5000)


def unequal(content):
    struct.pack_into("<I", content, central(content, b"archive/data/0") + 24, 17)


def another_count(content):
    struct.pack_into("<HH", content, len(content) - 14, 3, 3)


def huge_count(content):
    struct.pack_into("<HH", content, len(content) - 14, 65000, 65000)


def other_disk(content):
    struct.pack_into("<H", content, len(content) - 18, 1)


def broken_directory(content):
    content[central(content, b"archive/data/0")] = 0


def nul_name(content):
    at = content.rindex(b"archive/version")
    content[at + 8] = 0


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
    shifted = bytearray(b"PK\x03\x04" + bytes(28) + GOOD)
    end = len(shifted) - 22
    offset = struct.unpack_from("<I", shifted, end + 16)[0]
    struct.pack_into("<I", shifted, end + 16, offset + 32)
    at = offset + 32
    while shifted[at : at + 4] == b"PK\x01\x02":
        lengths = struct.unpack_from("<HHH", shifted, at + 28)
        header = struct.unpack_from("<I", shifted, at + 42)[0]
        struct.pack_into("<I", shifted, at + 42, header + 32)
        at += 46 + sum(lengths)
    assert_refused(bytes(shifted), "has 32 bytes before its first zip entry")


@pytest.mark.parametrize("name", ["data.pkl", "data/0"])
def test_a_compressed_record_is_refused(assert_refused, name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed, zipfile.ZipFile(io.BytesIO(GOOD)) as good:
        for info in good.infolist():
            squeeze = info.filename == f"archive/{name}"
            kind = zipfile.ZIP_DEFLATED if squeeze else zipfile.ZIP_STORED
            packed.writestr(info.filename, good.read(info), compress_type=kind)
    assert_refused(buffer.getvalue(), f"its record '{name}' is compressed", hint="unpack")


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


def many_entries(count):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr("archive/data.pkl", hostile.state_dict(a=hostile.tensor()))
        packed.writestr("archive/data/0", bytes(16))
        for index in range(1, count - 1):
            packed.writestr(zipfile.ZipInfo(f"archive/data/{index}"), b"")
    return buffer.getvalue()


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
