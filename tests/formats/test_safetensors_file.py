"""The rules of the safetensors format, each broken once."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from safetensors_files import GOOD, entry, packed

from normcli.errors import RefusedError
from normcli.formats import open_checkpoint

BROKEN = [
    ("a hole", {"a": entry(0, 8, [2]), "b": entry(12, 16, [])}, 16, "'b' leaves a hole"),
    ("a hole in front", {"a": entry(4, 12, [2])}, 12, "'a' leaves a hole"),
    ("an overlap", {"a": entry(0, 8, [2]), "b": entry(4, 8, [])}, 8, "'b' overlaps"),
    ("two names for one tensor", {"a": entry(0, 8, [2]), "b": entry(0, 8, [2])}, 8, "overlaps"),
    ("data too short", GOOD, 8, "end at byte 12 of the data, which has 8"),
    ("data too long", GOOD, 16, "end at byte 12 of the data, which has 16"),
    ("no data", GOOD, 0, "end at byte 12"),
    ("a wrong shape", {"a": entry(0, 8, [3])}, 8, "has 8 bytes, expected 12"),
    ("offsets backwards", {"a": entry(8, 0, [2])}, 8, "has -8 bytes"),
    ("an unknown field", {"a": entry(0, 8, [2], more=1)}, 8, "has an unknown field 'more'"),
    ("an unknown dtype", {"a": entry(0, 8, [2], "F99")}, 8, "has the unknown dtype 'F99'"),
    ("a negative size", {"a": entry(0, 8, [-2])}, 8, "is not described"),
    ("a size that is true", {"a": entry(0, 4, [True])}, 4, "is not described"),
    ("a float size", {"a": entry(0, 8, [2.0])}, 8, "is not described"),
    ("a huge size", {"a": entry(0, 8, [2**63])}, 8, "is not described"),
    ("a product that overflows", {"a": entry(0, 8, [2**62, 4, 2])}, 8, "has 8 bytes, expected"),
    ("2^62 thirty times", {"a": entry(0, 8, [2**62] * 30)}, 8, "expected 2^1862 or more"),
    ("three offsets", {"a": {**entry(0, 8, [2]), "data_offsets": [0, 8, 8]}}, 8, "not described"),
    ("no dtype", {"a": {"shape": [2], "data_offsets": [0, 8]}}, 8, "is not described"),
    ("a tensor that is a number", {"a": 3}, 0, "is not described"),
    ("65 axes", {"a": entry(0, 4, [1] * 65)}, 4, "has 65 axes"),
    ("metadata of numbers", {"__metadata__": {"epoch": 3}, **GOOD}, 12, "__metadata__"),
    ("metadata that is a list", {"__metadata__": [], **GOOD}, 12, "__metadata__"),
    ("a name of a megabyte", {"n" * 1_000_000: entry(0, 4, [])}, 4, "is a name of 1000000"),
    ("NaN", b'{"a": NaN}', 0, "NaN is not a JSON number"),
    ("a duplicate key", b'{"a": {}, "a": {}}', 0, "key 'a' comes twice"),
    ("a disguised duplicate key", b'{"a": {}, "\\u0061": {}}', 0, "key 'a' comes twice"),
    ("a duplicate field", b'{"a": {"shape": [], "shape": []}}', 0, "key 'shape' comes twice"),
    ("not UTF-8", b'{"\xff": 1}', 0, "not UTF-8"),
    ("not JSON", b"{nothing}", 0, "is not JSON"),
    ("deep nesting", b'{"a":' + b"[" * 100_000, 0, "nests too deep"),
    ("something behind the object", b"{} {}", 0, "is not JSON"),
]


@pytest.mark.parametrize(
    ("header", "nbytes", "fragment"), [case[1:] for case in BROKEN], ids=[c[0] for c in BROKEN]
)
def test_a_broken_rule_is_an_error(assert_refused, header, nbytes, fragment):
    assert_refused(packed(header, bytes(nbytes)), fragment)


def test_what_is_not_broken_is_read(opened):
    checkpoint = opened(packed({"__metadata__": {"format": "pt"}, **GOOD}, bytes(12)))
    assert list(checkpoint.tensors) == ["a", "b"]


def test_padding_with_spaces_is_read(opened):
    assert not opened(packed(b"{}      ")).tensors


def test_a_header_longer_than_the_file_is_truncated(assert_refused):
    assert_refused(packed(GOOD, length=10_000), "claims 10000 bytes", hint="truncated")


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 100_000_001])
def test_a_header_over_100_mb_is_refused(assert_refused, length):
    assert_refused(packed(GOOD, length=length), "the limit is 100000000", kind=RefusedError)


def test_sub_byte_dtypes_are_skipped_by_name(opened):
    checkpoint = opened(packed({"a": entry(0, 2, [4], "F4"), "b": entry(2, 6, [])}, bytes(6)))
    assert list(checkpoint.tensors) == ["b"]
    assert [each.name for each in checkpoint.skipped] == ["a"]
    assert "F4" in checkpoint.skipped[0].reason


def test_names_in_messages_are_escaped_and_cut(assert_refused):
    assert_refused(packed({"a\x1b[31m\n::error::": 3}), r"'a\x1b[31m\n::error::'")
    assert_refused(packed({"n" * 1000: 3}), "n…n")


def test_a_directory_of_tensors_is_read_in_the_order_of_the_header(opened):
    checkpoint = opened(packed({"b": entry(4, 8, []), "a": entry(0, 4, [])}, bytes(8)))
    assert list(checkpoint.tensors) == ["b", "a"]


def test_the_suffix_is_never_asked(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "model.pt")
    with open_checkpoint(tmp_path / "model.pt") as checkpoint:
        assert checkpoint.format == "safetensors"


def test_a_number_that_int_does_not_convert_is_an_error_of_ours(assert_refused):
    digits = b"9" * 5000
    assert_refused(packed(b'{"a": ' + digits + b"}"), "holds a number of thousands of digits")
