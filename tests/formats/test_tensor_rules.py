"""The numeric rule: no view reaches outside its storage, none claims more than is there."""

from __future__ import annotations

from contextlib import suppress

import hostile
import pytest
import torch
from hostile import name, ordered_dict, pickle, row, table, tensor, text

from normcli.errors import CheckpointError

OUTSIDE = [
    ("size", {"shape": (5,)}, "reaches byte 20 of its storage, which has 16"),
    ("offset", {"start": 1}, "reaches byte 20"),
    ("stride", {"shape": (2,), "stride": (4,)}, "reaches byte 20"),
    ("negative size", {"shape": (-1,)}, "size is -1"),
    ("negative offset", {"start": -1}, "offset is -1"),
    ("negative stride", {"stride": (-1,)}, "stride is -1"),
    ("negative stride of one", {"shape": (1,), "stride": (-1,)}, "stride is -1"),
    ("2^62", {"shape": (2**62,)}, "reaches byte"),
    ("2^62 twice", {"shape": (2**62, 2**62), "stride": (0, 0)}, "is an expanded view"),
    ("2^80", {"shape": (2**80,)}, "2^63 or more"),
    ("2^62 thirty times", {"shape": (2**62,) * 30, "stride": (0,) * 30}, "2^1862 or more bytes"),
    ("-2^2000", {"start": -(2**2000)}, "offset is -2^2000"),
    ("a storage of 2^2000", {"numel": 2**2000}, "has 2^2002 or more bytes in the pickle"),
    ("an offset of 2^900", {"start": 2**900}, "2^63 or more"),
    ("a sum that wraps", {"shape": (2, 2), "stride": (2**62, 2**62)}, "reaches byte"),
    ("fewer strides", {"shape": (2, 2), "stride": (1,)}, "has 1 strides, expected 2"),
    ("more strides", {"shape": (2,), "stride": (1, 1)}, "has 2 strides, expected 1"),
    ("stride 0", {"shape": (100,), "stride": (0,)}, "is an expanded view: 400 bytes"),
    ("65 axes", {"shape": (1,) * 65, "stride": (1,) * 65}, "has 65 axes"),
    ("a negative size beside 0", {"shape": (0, -1), "stride": (1, 1)}, "size is -1"),
    ("a longer storage", {"numel": 5}, "has 20 bytes in the pickle, 16 in the archive"),
    ("a shorter storage", {"numel": 3}, "has 12 bytes in the pickle"),
    ("a negative storage", {"numel": -4}, "has -16 bytes in the pickle"),
    ("another dtype", {"kind": "DoubleStorage"}, "has 32 bytes in the pickle"),
    ("a missing record", {"key": "7"}, "lacks the record of storage '7'"),
    ("a path as key", {"key": "../version"}, "lacks the record"),
]


@pytest.mark.parametrize(
    ("view", "fragment"), [case[1:] for case in OUTSIDE], ids=[c[0] for c in OUTSIDE]
)
def test_a_view_outside_its_storage_is_an_error(assert_refused, view, fragment):
    assert_refused(hostile.archive(hostile.state_dict(a=tensor(**view))), fragment)


def test_numbers_that_are_no_integers_are_an_error(assert_refused):
    for strange in (b"\x88", b"G" + bytes(8), text("4"), b"N"):
        arguments = (hostile.storage(), strange, row(), row(), b"\x89", ordered_dict())
        data = name("torch._utils", "_rebuild_tensor_v2") + row(*arguments) + b"R"
        assert_refused(hostile.archive(hostile.state_dict(a=data)), "with arguments that torch")


def test_an_expanded_view_within_its_storage_is_read_with_a_note(opened):
    node = tensor(shape=(2, 2), stride=(0, 1))
    checkpoint = opened(hostile.archive(hostile.state_dict(a=node)))
    assert "overlapping view" in checkpoint.tensors["a"].note
    assert checkpoint.read("a").stride() == (0, 1)


def test_an_overlapping_view_is_read_as_torch_reads_it(tmp_path, opened):
    base = torch.randn(10)
    path = tmp_path / "by_torch.pt"
    torch.save({"a": base.as_strided((3, 3), (2, 1)), "base": base}, path)
    checkpoint = opened(path.read_bytes())
    assert "overlapping view" in checkpoint.tensors["a"].note
    assert checkpoint.tensors["base"].note == ""
    assert torch.equal(checkpoint.read("a"), base.as_strided((3, 3), (2, 1)))


def test_without_elements_only_signs_matter(opened):
    node = tensor(shape=(0, 5), stride=(2**40, 2**40), start=2**40)
    assert opened(hostile.archive(hostile.state_dict(a=node))).read("a").shape == (0, 5)


def test_sizes_that_torch_cannot_multiply_are_an_error_when_read(opened):
    node = tensor(shape=(0, 2**62, 2**62), stride=(1, 1, 1))
    checkpoint = opened(hostile.archive(hostile.state_dict(a=node)))
    with suppress(CheckpointError):  # whether torch takes it depends on its version
        assert checkpoint.read("a").numel() == 0


def test_one_storage_with_two_dtypes_is_an_error(assert_refused):
    other = tensor(kind="IntStorage")
    content = hostile.archive(hostile.state_dict(a=tensor(), b=other))
    assert_refused(content, "two dtypes")


def untyped(dtype, key="0", nbytes=16):
    storage = row(
        text("storage"), name("torch.storage", "UntypedStorage"), text(key), text("cpu"),
        hostile.integer(nbytes),
    )  # fmt: skip
    arguments = (
        storage + b"Q", hostile.integer(0), hostile.integers((2,)), hostile.integers((1,)), b"\x89",
        ordered_dict(), name("torch", dtype),
    )  # fmt: skip
    return name("torch._utils", "_rebuild_tensor_v3") + row(*arguments) + b"R"


def test_untyped_bytes_seen_as_two_dtypes_are_an_error(assert_refused):
    content = hostile.archive(hostile.state_dict(a=untyped("uint16"), b=untyped("uint32")))
    assert_refused(content, "'b' views storage '0' as uint32")


def test_a_dtype_that_is_not_read_is_skipped(opened):
    data = hostile.state_dict(a=untyped("bits8"), b=tensor(key="1"))
    checkpoint = opened(hostile.archive(data, {"0": bytes(16), "1": bytes(16)}))
    assert list(checkpoint.tensors) == ["b"]
    assert [(s.name, s.reason) for s in checkpoint.skipped] == [("a", "tensor of dtype bits8")]


@pytest.mark.parametrize("flag", ["conj", "neg"])
def test_a_tensor_with_a_flag_is_skipped(opened, flag):
    node = tensor(metadata=table((text(flag), b"\x88")))
    checkpoint = opened(hostile.archive(hostile.state_dict(a=node)))
    assert [(s.name, s.reason) for s in checkpoint.skipped] == [("a", f"{flag} view")]


def test_an_unknown_flag_is_an_error(assert_refused):
    node = tensor(metadata=table((text("mirror"), b"\x88")))
    assert_refused(hostile.archive(hostile.state_dict(a=node)), "with arguments that torch")


def test_tied_tensors_say_so_and_views_do_not(tmp_path, opened):
    weight = torch.randn(4, 4)
    path = tmp_path / "by_torch.pt"
    torch.save({"a": weight, "b": weight, "part": weight[1:], "t": weight.t()}, path)
    tensors = opened(path.read_bytes()).tensors
    assert tensors["a"].storage == tensors["b"].storage != ""
    assert tensors["part"].storage == tensors["t"].storage == ""


def test_nan_and_infinity_are_numbers_like_others(tmp_path, opened):
    path = tmp_path / "by_torch.pt"
    torch.save({"a": torch.tensor([float("nan"), float("inf"), -0.0])}, path)
    tensor = opened(path.read_bytes()).read("a")
    assert tensor.isnan().sum() == tensor.isinf().sum() == 1


def test_pickle_of_a_tensor_alone_has_a_name(opened):
    assert list(opened(hostile.archive(pickle(tensor()))).tensors) == ["tensor"]
