"""What fuzzing, and reading the reader for the same, found once: the smallest file of each."""

from __future__ import annotations

import struct
import time
import zipfile

import fuzz_seeds
import hostile
import pytest
from fuzzing import read_array, read_checkpoint, read_pickle
from hostile import integer, name, ordered_dict, pickle, row, table, tensor, text

from normcli import inspect
from normcli.errors import CheckpointError

MANY = 400_000
SECONDS = 2.0  # of CPU time; a tenth to a half of it where nothing else runs


@pytest.mark.parametrize("odd", [b"]", integer(7), text("x"), row(text("x"))])
def test_metadata_that_is_no_dictionary_is_ignored_with_a_note(tmp_path, odd):
    weight = text("w") + tensor(shape=(2, 2), stride=(2, 1))
    state = table((text("_metadata"), odd))
    path = tmp_path / "model.pt"
    path.write_bytes(hostile.archive(pickle(ordered_dict() + weight + b"s" + state + b"b")))
    report = inspect(path)
    assert [each.key for each in report.measurements] == ["w"]
    assert "_metadata of '' is no dictionary; it was ignored" in report.notes


@pytest.mark.parametrize(
    "version", [b")" + b"2\x86" * 60, b"]" * 100_000 + b"a" * 99_999], ids=["wide", "deep"]
)
def test_a_version_that_cannot_be_spelled_out_is_not(version):
    magic, rest = pickle(integer(0x1950A86A20F9469CFC6C)), pickle(b"}") * 2 + pickle(b"]")
    with pytest.raises(CheckpointError, match="of version unknown, not 1001"):
        read_checkpoint(magic + pickle(version) + rest)


@pytest.mark.parametrize("descr", ["0x" + "f" * 3900, "[0x" + "f" * 3900 + "]"])
def test_an_integer_that_python_does_not_write_is_not_written(descr):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (2,)}}".encode()
    raw = b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + bytes(8)
    with pytest.raises(CheckpointError, match="a number without end"):
        read_array(raw)


@pytest.mark.parametrize(
    "call",
    [
        name("torch", "float32") + row(tensor()) + b"R",
        name("torch", "FloatStorage") + b")R",
        b"(" + text("x") + b"o",
    ],
    ids=["a dtype", "a storage", "a text"],
)
def test_a_call_of_what_is_no_function_is_an_error(call):
    with pytest.raises(CheckpointError, match="calls what is no function"):
        read_pickle(pickle(table((text("w"), tensor()), (text("x"), call))))


@pytest.mark.parametrize("arguments", [b")", row(*[text("cpu")] * 3)], ids=["none", "three"])
def test_a_device_has_one_name_and_one_number(arguments):
    with pytest.raises(CheckpointError, match=r"calls torch\.device with arguments"):
        read_pickle(pickle(table((text("d"), name("torch", "device") + arguments + b"R"))))


def called(function, arguments, times=100_000):
    """One tuple of arguments, kept in the memo, with which a function is called again and again."""
    return function + b"q\0" + arguments + b"q\x010(" + b"h\0h\x01R" * times + b"l"


def nested(value, key, levels):
    return b"}" + text(key) + b"q\x01" + b"}h\x01" * (levels - 1) + value + b"s" * levels


def aliased(first, again, count):
    """A value in memo 1, and a list in which a piece of pickle stands so many times."""
    return first + b"q\x010(" + again * count + b"l"


def modules(levels):
    """Modules that hold the next one twice, pickled whole."""

    def module(children):
        parts = (("_parameters", b"}"), ("_buffers", b"}"), ("_modules", b"}(" + children + b"u"))
        attributes = b"}(" + b"".join(text(part) + value for part, value in parts) + b"u"
        return name("a", "M") + b")\x81" + attributes + b"b"

    made = module(text("w") + tensor(shape=(0,))) + b"q\0"
    for level in range(levels):
        below = b"h" + bytes([level])
        made += b"0" + module(text("a") + below + text("b") + below) + b"q" + bytes([level + 1])
    return made


def tables(levels, width):
    """Dicts whose values are all the next dict, under a name that optimizers have."""
    made = b"Nq\0"
    for level in range(levels):
        entries = b"".join(text(f"k{n}") + b"h" + bytes([level]) for n in range(width))
        made += b"0}(" + entries + b"uq" + bytes([level + 1])
    return made + b"0}" + text("optim") + b"h" + bytes([levels]) + b"s"


NONES = b"(" + b"N" * MANY
PAIRS = b"(" + b"".join(text(str(n)) + b"N\x86" for n in range(60_000)) + b"l\x85"
STATES = b"}(" + b"".join(integer(n) + b"}" for n in range(100_000)) + b"u"
OPTIMIZER = b"}(" + text("state") + b"h\x01" + text("param_groups") + b"]Nau"
LONG = text("x" * 10**7)
TENSOR = name("torch._utils", "_rebuild_tensor_v2")
SHAPE = b"(" + b"K\0" * MANY + b"l\x94"

EXPENSIVE = [
    ("arguments of a foreign call", called(name("os", "system"), NONES + b"t")),
    ("a set of a list", called(name("builtins", "set"), NONES + b"l\x85")),
    ("pairs of an OrderedDict", called(name("collections", "OrderedDict"), PAIRS, 1000)),
    ("a size of a list", called(name("torch", "Size"), NONES + b"l\x85", 1000)),
    ("a shape of a list",
     called(TENSOR, b"(" + hostile.storage() + b"K\0" + SHAPE + b"h\x01\x89Nt", 1000)),
    ("a device of a text", called(name("torch", "device"), LONG + b"\x85", 1000)),
    ("a bytearray of a text",
     called(name("builtins", "bytearray"), LONG + text("latin-1") + b"\x86", 1000)),
    ("a tuple as a key", aliased(NONES + b"t", b"}h\x01Ns", 9000)),
    ("bytes as a key", aliased(b"B\x80\x96\x98\0" + b"x" * 10**7, b"}h\x01]s", 10_000)),
    ("a list that is walked again", aliased(b"(" + tensor(shape=(0,)) + NONES[1:] + b"l", b"h\x01",
                                            100_000)),
    ("long names inside one another", nested(b"(" + b"}" * 100_000 + b"l", "k" * 10**6, 60)),
    ("modules inside one another", modules(60)),
    ("what may be moments", tables(5, 1000)),
    ("what may be an optimizer", aliased(STATES, OPTIMIZER, 20_000)),
    ("an optimizer again", aliased(STATES + b"q\x010" + OPTIMIZER, b"h\x01", 50_000)),
]  # fmt: skip


@pytest.mark.parametrize("value", [case[1] for case in EXPENSIVE], ids=[c[0] for c in EXPENSIVE])
def test_work_that_a_small_pickle_makes_is_bounded(value):
    data = pickle(value)
    start = time.process_time()
    with pytest.raises(CheckpointError, match=r"it holds more than|that torch does not write"):
        read_pickle(data)
    assert time.process_time() - start < SECONDS


def test_an_alias_of_plain_data_costs_nothing():
    many = aliased(NONES[:200_000] + b"l", b"h\x01", 1000)
    data = pickle(table((text("w"), tensor()), (text("p"), many)))
    read_pickle(data)


def test_the_seeds_are_packed_as_zipfile_packs_them(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(fuzz_seeds.archive(fuzz_seeds.pickles()[0]))
    with zipfile.ZipFile(path) as packed:
        assert packed.testzip() is None
        assert packed.read("archive/data.pkl") == fuzz_seeds.pickles()[0]
