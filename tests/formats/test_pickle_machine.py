"""Hostile pickles: nothing that they name is run, nothing malformed gets through."""

from __future__ import annotations

import struct
import time

import hostile
import pytest
import torch
from hostile import integer, name, ordered_dict, pickle, row, table, tensor, text

from normcli.errors import CheckpointError, RefusedError
from normcli.records import Opaque

SYSTEM = row(text("touch /tmp/normcli-was-here"))


def beside_a_tensor(value, key="x"):
    return pickle(table((text("a"), tensor()), (text(key), value)))


FOREIGN = [
    ("REDUCE", name("os", "system") + SYSTEM + b"R", "os.system (1, at x)"),
    ("STACK_GLOBAL", text("os") + text("system") + b"\x93" + SYSTEM + b"R", "os.system (1, at x)"),
    ("INST", b"(" + text("id") + b"ios\nsystem\n", "os.system (1, at x)"),
    ("OBJ", b"(" + name("os", "system") + text("id") + b"o", "os.system (1, at x)"),
    ("NEWOBJ", name("argparse", "Namespace") + b")\x81", "argparse.Namespace (1, at x)"),
    ("NEWOBJ_EX", name("a", "B") + b")}\x92", "a.B (1, at x)"),
    ("eval", name("builtins", "eval") + row(text("1")) + b"R", "builtins.eval (1, at x)"),
    ("pushed", name("subprocess", "Popen"), "subprocess.Popen (1, at x)"),
    ("popped", name("os", "system") + b"0N", "os.system (1)"),
    ("twice", row(name("a", "B"), name("a", "B")), "a.B (2, at x.[0])"),
    ("getattr", name("builtins", "getattr") + row(name("os", "x")) + b"R", "os.x (1, at x.[0])"),
    ("nested", row(row(name("a", "B"))), "a.B (1, at x.[0].[0])"),
    ("in a call", name("a", "B") + row(row(name("c", "D"))) + b"R", "c.D (1, at x.[0].[0])"),
    ("torch's own loader", name("torch.storage", "_load_from_bytes"), "torch.storage._load_from"),
    ("a class of torch", name("torch.nn.parameter", "Parameter") + b")R", "Parameter (1"),
    ("numpy", name("numpy.core.multiarray", "scalar") + b")R", "numpy.core.multiarray.scalar (1"),
    ("datetime", name("datetime", "date") + b")R", "datetime.date (1, at x)"),
    ("script in a plain file", name("__torch__.m", "M") + b")\x81", "__torch__.m.M (1, at x)"),
    ("markup", name("[red]a", "B"), "[red]a.B (1"),
    ("escape", name("a\x1b[31m", "B"), r"a\x1b[31m.B (1"),
    ("from type", name("torch._tensor", "_rebuild_from_type_v2")
     + row(name("os", "system"), name("torch", "Tensor"), SYSTEM, b"}") + b"R", "os.system (1, at"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "fragment"), [case[1:] for case in FOREIGN], ids=[c[0] for c in FOREIGN]
)
def test_a_foreign_object_is_refused_and_named(assert_refused, value, fragment):
    content = hostile.archive(beside_a_tensor(value))
    assert_refused(content, fragment, kind=RefusedError, hint="--allow-opaque")


def test_the_refusal_is_the_documented_sentence(assert_refused):
    args = table((text("args"), name("argparse", "Namespace") + b")\x81" + b"}b"))
    system = name("os", "system") + b"0"
    data = pickle(table((text("a"), tensor()), (text("hyper_parameters"), args)) + system)
    assert_refused(
        hostile.archive(data),
        "refused: holds objects that are not tensors or plain data: "
        "argparse.Namespace (1, at hyper_parameters.args), os.system (1)",
        kind=RefusedError,
    )


def test_with_leave_the_tensors_beside_and_inside_are_read(opened):
    state = table((text("inside"), tensor()))
    value = name("argparse", "Namespace") + b")\x81" + state + b"b"
    checkpoint = opened(hostile.archive(beside_a_tensor(value)), allow_opaque=True)
    assert list(checkpoint.tensors) == ["a", "x/inside"]
    assert checkpoint.opaque == (Opaque("argparse.Namespace", 1, "x"),)
    assert checkpoint.read("x/inside").tolist() == [0.0] * 4


MALFORMED = [
    ("no STOP", b"\x80\x02}", "before STOP"),
    ("nothing", b"", "before STOP"),
    ("behind STOP", pickle(b"}") + b"N.", "goes on for 2 bytes after STOP"),
    ("an empty stack", b"\x80\x02.", "takes from an empty stack"),
    ("two values", pickle(b"NN"), "leaves values on the stack"),
    ("an open MARK", pickle(b"(N"), "leaves values on the stack"),
    ("no MARK", pickle(b"t"), "lacks a MARK"),
    ("underflow below a MARK", pickle(b"N(\x85"), "empty stack"),
    ("underflow of a pop", pickle(b"0N"), "lacks a MARK"),
    ("DUP of nothing", pickle(b"2"), "empty stack"),
    ("PUT of nothing", pickle(b"q\0"), "empty stack"),
    ("a missing memo", pickle(b"h\x07"), "memo 7, which nothing was put in"),
    ("protocol 0", b"\x80\x00N.", "protocol 0, expected 2 to 5"),
    ("protocol 6", b"\x80\x06N.", "protocol 6, expected 2 to 5"),
    ("protocol 0 text", pickle(b"I1\n"), "opcode 0x49"),
    ("an extension", pickle(b"\x82\x01"), "opcode 0x82"),
    ("an out-of-band buffer", pickle(b"\x97"), "opcode 0x97"),
    ("an unknown opcode", pickle(b"\xff"), "opcode 0xff"),
    ("LONG4", pickle(b"\x8b\x01\0\0\0\x01"), "opcode 0x8b"),
    ("a persistent id as text", pickle(b"P0\n"), "opcode 0x50"),
    ("bad UTF-8", pickle(b"X\x01\0\0\0\xff"), "not UTF-8"),
    ("a string past the end", pickle(b"X\xff\xff\xff\x7fab"), "past its end"),
    ("8 GB of bytes", pickle(b"\x8e" + struct.pack("<Q", 2**33)), "past its end"),
    ("a frame past the end", pickle(b"\x95" + struct.pack("<Q", 2**40) + b"N"), "frame of"),
    ("an endless name", pickle(b"c" + b"a" * 5000 + b"\nb\n"), "endless name"),
    ("a name without end", b"\x80\x02cos", "endless name"),
    ("a nested tuple as key", pickle(table((row(row(b"N")), b"N"))), "no plain scalar"),
    ("a list as key", pickle(table((b"]", b"N"))), "no plain scalar"),
    ("a tensor as key", pickle(table((tensor(), b"N"))), "no plain scalar"),
    ("a huge number as key", pickle(table((integer(2**70), b"N"))), "more than 64 bits"),
    ("a key twice", pickle(table((text("k"), b"N"), (text("k"), b"N"))), "'k' of a dict twice"),
    ("1 and True", pickle(table((integer(1), b"N"), (b"\x88", b"N"))), "of a dict twice"),
    ("a key without value", pickle(b"}(Nu"), "key without a value"),
    ("items of a list", pickle(b"](NNu"), "what is no dict"),
    ("append to a dict", pickle(b"}Na"), "what is no list"),
    ("add to a list", pickle(b"](N\x90"), "what is no set"),
    ("BUILD on a dict", pickle(b"}" + table((text("k"), b"N")) + b"b"), "a state that torch"),
    ("BUILD on a tensor", pickle(tensor() + table((text("k"), b"N")) + b"b"), "gives a tensor"),
    ("BUILD on a list", pickle(b"]}b"), "a state that torch does not write"),
    ("REDUCE without a tuple", pickle(name("os", "x") + b"]R"), "in no tuple"),
    ("STACK_GLOBAL of numbers", pickle(b"NN\x93"), "no string"),
    ("OBJ of nothing", pickle(b"(o"), "of no class"),
    ("keywords in no dict", pickle(name("a", "B") + b")]\x92"), "in no dict"),
    ("an id that is no tuple", pickle(text("0") + b"Q"), "in a way that torch"),
    ("an id of five Nones", pickle(row(b"N", b"N", b"N", b"N", b"N") + b"Q"), "in a way that"),
    ("encode to utf-7", pickle(name("_codecs", "encode") + row(text("a"), text("utf-7")) + b"R"),
     "calls _codecs.encode with arguments"),
    ("encode of wide text",
     pickle(name("_codecs", "encode") + row(text("模"), text("latin1")) + b"R"),
     "calls _codecs.encode with arguments"),
    ("OrderedDict of numbers", pickle(name("collections", "OrderedDict") + row(integer(3)) + b"R"),
     "calls collections.OrderedDict with arguments"),
    ("a tensor of nothing", pickle(name("torch._utils", "_rebuild_tensor_v2") + b")R"),
     "calls torch._utils._rebuild_tensor_v2 with arguments"),
    ("a parameter of a string", pickle(name("torch._utils", "_rebuild_parameter")
     + row(text("a"), b"\x88", ordered_dict()) + b"R"), "_rebuild_parameter with arguments"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "fragment"), [case[1:] for case in MALFORMED], ids=[c[0] for c in MALFORMED]
)
def test_a_malformed_pickle_is_an_error(assert_refused, data, fragment):
    assert_refused(hostile.archive(data), fragment)


def doubling(pair, leaf, root=b"h\x28"):
    """Forty containers, each of which holds the one before twice."""
    steps = [pair % (n, n) + b"q" + bytes([n + 1]) + b"0" for n in range(40)]
    return pickle(leaf + b"q\x000" + b"".join(steps) + root)


def test_containers_without_tensors_are_walked_once(opened):
    for pair in (b"](h%ch%ce", b"h%ch%c\x86"):
        assert not opened(hostile.archive(doubling(pair, b")"))).tensors


BUDGETS = [
    ("opcodes", pickle(b"N0" * 3_000_000 + b"N"), "opcodes"),
    ("deep lists", pickle(b"]" * 100_000 + b"a" * 99_999), "nested deeper than 64"),
    ("dicts", pickle(b"(" + b"}" * 2_000_000 + b"l"), "bytes of memory"),
    ("strings", pickle(b"(" + text("x" * 100_000) * 70 + b"l"), "bytes of strings"),
    ("encoded", pickle(b"(" + text("x" * 4_000_000) + b"q\0" + text("latin1") + b"q\1"
     + (name("_codecs", "encode") + b"h\0h\1\x86R") * 20 + b"l"), "bytes of strings"),
    ("doubling lists", doubling(b"](h%ch%ce", tensor()), "refused: it holds more than"),
    ("doubling tuples", doubling(b"h%ch%c\x86", tensor()), "refused: it holds more than"),
    ("doubling optimizers", doubling(b"h%ch%c\x86", name("a", "B"), b"}(" + text("state") + b"}"
     + text("param_groups") + b"](}(" + text("params") + b"h\x28ueu"), "containers to walk"),
    ("tuple keys", pickle(b"}(" + b"".join(
        row(integer(n)) + b"N" for n in range(10_001)) + b"u"), "tuples as dictionary keys"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "fragment"), [case[1:] for case in BUDGETS], ids=[c[0] for c in BUDGETS]
)
def test_what_is_too_expensive_is_refused_in_seconds(assert_refused, data, fragment):
    content = hostile.archive(data)
    start = time.process_time()
    assert_refused(content, fragment, allow_opaque=True, budget_scale=0.1)
    assert time.process_time() - start < 30  # not how fast, but that it ends


def test_a_pickle_over_the_budget_is_not_read(assert_refused):
    data = pickle(text("x" * 300_000) + b"0N")
    assert_refused(hostile.archive(data), "the limit is 256000", budget_scale=0.001)


def test_a_budget_can_be_raised(opened):
    content = hostile.archive(
        pickle(table((text("a"), tensor()), (text("n"), b"N0" * 9000 + b"N")))
    )
    with pytest.raises(RefusedError, match="more than 5000 opcodes"):
        opened(content, budget_scale=0.001)
    assert list(opened(content, budget_scale=0.004).tensors) == ["a"]


def test_a_container_that_holds_itself_is_named_once(opened):
    data = pickle(b"}q\0(" + text("a") + tensor() + text("self") + b"h\0u")
    checkpoint = opened(hostile.archive(data))
    assert list(checkpoint.tensors) == ["a"]
    assert any("holds itself" in note for note in checkpoint.notes)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_protocols_2_to_5_are_read(tmp_path, opened, protocol):
    path = tmp_path / "by_torch.pt"
    state = {"weight": torch.randn(3, 4), "epoch": 3, "rate": 0.5, "name": "x" * 300, "set": {1}}
    torch.save(state, path, pickle_protocol=protocol)
    assert torch.equal(opened(path.read_bytes()).read("weight"), state["weight"])


def test_bytes_and_big_numbers_are_plain_data(tmp_path, opened):
    path = tmp_path / "by_torch.pt"
    state = {"weight": torch.ones(2), "raw": b"\x00\xff", "n": -(2**200), "many": [1.5, None, ()]}
    torch.save(state, path)
    assert list(opened(path.read_bytes()).tensors) == ["weight"]


STRANGE = ["[bold]x", "\x1b[31m", "\x07", "a\nb", "::error::x", "\u202egpj", "\ud800", "", "/", "1"]


@pytest.mark.parametrize("key", STRANGE)
def test_a_strange_key_is_kept_as_it_is(opened, key):
    checkpoint = opened(hostile.archive(pickle(table((text(key), tensor())))))
    assert list(checkpoint.tensors) == [key]
    assert checkpoint.read(key).tolist() == [0.0] * 4


def test_a_key_of_a_megabyte_is_refused(assert_refused):
    data = pickle(table((text("n" * 1_000_000), tensor())))
    assert_refused(hostile.archive(data), "has 1000000 characters")


def test_two_tensors_of_one_name_are_refused(assert_refused):
    inner = table((text("b/c"), tensor()))
    other = table((text("c"), tensor()))
    data = pickle(table((text("a"), inner), (text("a/b"), other)))
    assert_refused(hostile.archive(data), "'a/b/c' is the name of two tensors")


def test_all_are_checkpoint_errors():
    assert issubclass(RefusedError, CheckpointError)
