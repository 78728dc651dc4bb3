"""The legacy format: storages once each, their counts right, nothing missing, nothing left over."""

from __future__ import annotations

import struct

import hostile
import pytest
from hostile import integer, name, pickle, row, table, text
from legacy_files import ONE, TWO, data, keys, legacy, stored, tensor

from normcli.errors import RefusedError

BROKEN = [
    ("version", legacy(ONE, b"", protocol=pickle(integer(1002))), "of version '1002'"),
    ("system", legacy(ONE, b"", system=pickle(b"N")), "third pickle"),
    ("a longer count", legacy(ONE, keys("0") + data(5)), "has 5 elements, its pickle says 4"),
    ("a shorter count", legacy(ONE, keys("0") + data(3)), "has 3 elements"),
    ("a negative count", legacy(ONE, keys("0") + data(-4)), "has -4 elements"),
    ("truncated storage", legacy(ONE, keys("0") + data()[:-1]), "expected"),
    ("no storage", legacy(ONE, keys("0")), "ends at"),
    ("no keys", legacy(ONE, b""), "before STOP"),
    ("trailing bytes", legacy(ONE, keys("0") + data() + b"x"), "goes on for 1 bytes"),
    ("a storage twice", legacy(ONE, keys("0", "0") + data() * 2), "lists a storage twice"),
    ("a storage too many", legacy(ONE, keys("0", "1") + data() * 2), "lists 2 storages"),
    ("a storage too few", legacy(TWO, keys("0") + data()), "lists 1 storages"),
    ("keys of numbers", legacy(ONE, pickle(b"](K\0e") + data()), "not a list of names"),
    ("keys in no list", legacy(ONE, pickle(b"N") + data()), "not a list of names"),
    ("a view outside", legacy(hostile.state_dict(a=tensor(shape=(5,))), keys("0") + data()),
     "'a' reaches byte 20"),
    ("a storage of two sizes",
     legacy(hostile.state_dict(a=tensor(), b=tensor(stored("0", 3))), keys("0") + data()),
     "two dtypes or sizes"),
    ("a negative storage", legacy(hostile.state_dict(a=tensor(stored("0", -1))), keys("0")
     + data(-1)), "has -1 elements"),
    ("a storage of 2^2000", legacy(hostile.state_dict(a=tensor(stored("0", 2**2000))), keys("0")
     + data()), "its pickle says 2^2000 or more"),
    ("a view of a storage",
     legacy(hostile.state_dict(a=tensor(stored(view=row(text("1"), integer(0), integer(2))))),
            keys("0") + data()), "a view of a storage"),
    ("a storage in the keys", legacy(ONE, pickle(stored()) + data()), "where torch writes none"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "fragment"), [case[1:] for case in BROKEN], ids=[c[0] for c in BROKEN]
)
def test_a_broken_rule_is_an_error(assert_refused, content, fragment):
    assert_refused(content, fragment)


def test_the_good_file_is_read(opened):
    numbers = struct.pack("<8f", *range(8))
    tail = keys("1", "0") + data(content=numbers[:16]) + data(content=numbers[16:])
    checkpoint = opened(legacy(TWO, tail))
    assert checkpoint.format == "torch-legacy"
    assert checkpoint.read("b").tolist() == [0, 1, 2, 3]
    assert checkpoint.read("a").tolist() == [4, 5, 6, 7]


def test_a_foreign_object_is_refused(assert_refused):
    main = pickle(table((text("x"), name("os", "system") + row(text("id")) + b"R")))
    assert_refused(legacy(main, keys()), "os.system (1, at x)", kind=RefusedError)


def test_a_foreign_object_in_the_first_pickles_is_refused(assert_refused):
    call = pickle(table((text("little_endian"), name("os", "system") + row(text("id")) + b"R")))
    assert_refused(legacy(ONE, keys("0") + data(), system=call), "os.system", kind=RefusedError)


def test_a_huge_storage_is_not_allocated(assert_refused):
    main = hostile.state_dict(a=tensor(stored("0", 2**60), shape=(2**60,)))
    assert_refused(legacy(main, keys("0") + data(2**60)), "expected")
