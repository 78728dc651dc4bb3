"""Arrays as numpy.save writes them, and headers that no numpy ever wrote."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings

import numpy as np
import pytest
import torch

from normcli.errors import ChangedError, CheckpointError
from normcli.formats.source import Source
from normcli.initialization.batch import read_batch
from normcli.initialization.npy import read_npy

torch.set_num_threads(1)

SAVE = "save the batch with safetensors.numpy.save_file"
PLAIN = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }"
HUGE = "2^80 or more"
RNG = np.random.default_rng(0)


def saved(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def headed(header, entries=b"", *, version=1):
    """An .npy file with that header, whatever it says."""
    raw = header.encode("latin-1")
    return b"\x93NUMPY" + struct.pack("<BB", version, 0) + length(raw, version) + raw + entries


def length(raw, version):
    return struct.pack("<H" if version == 1 else "<I", len(raw))


def read(tmp_path, raw, *, hashed=False):
    file = tmp_path / "x.bin"  # the suffix is never asked
    file.write_bytes(raw)
    return read_batch(str(file), hashed=hashed)


def refusal(tmp_path, raw):
    with pytest.raises(CheckpointError) as caught:
        read(tmp_path, raw)
    error = caught.value
    assert error.where == str(tmp_path / "x.bin")
    assert "\n" not in str(error)
    return error


DTYPES = "?,b1,i1,i2,i4,i8,u1,u2,u4,u8,f2,f4,f8,c8,c16"


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", sorted(set(DTYPES.split(","))))
def test_an_array_is_read_as_numpy_reads_it(tmp_path, dtype, order):
    array = RNG.integers(0, 2 if dtype in "?b1" else 100, (3, 4, 5)).astype(dtype)
    raw = saved(array.astype(array.dtype.newbyteorder(order)))
    tensor = read(tmp_path, raw).tensors["input"]
    native = np.load(io.BytesIO(raw)).astype(array.dtype.newbyteorder("="))
    assert torch.equal(tensor, torch.from_numpy(native))
    assert tensor.dtype == torch.from_numpy(native).dtype
    assert tensor.is_contiguous()


@pytest.mark.parametrize("shape", [(1,), (7,), (2, 3), (1, 1, 1), (2, 3, 4, 5)])
def test_fortran_order_is_undone(tmp_path, shape):
    array = np.asfortranarray(RNG.standard_normal(shape))
    batch = read(tmp_path, saved(array))
    assert list(batch.tensors) == ["input"]
    expected = torch.from_numpy(np.ascontiguousarray(array))
    assert torch.equal(batch.tensors["input"], expected)
    assert batch.tensors["input"].is_contiguous()


def test_an_array_without_axes_is_a_tensor_without_axes(tmp_path):
    tensor = read(tmp_path, saved(np.array(3.5))).tensors["input"]
    assert (tensor.shape, tensor.item()) == ((), 3.5)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_version_of_the_header_is_read(tmp_path, version):
    raw = headed(PLAIN % "(2,)", np.float32([1, 2]).tobytes(), version=version)
    assert np.array_equal(np.load(io.BytesIO(raw)), [1, 2])
    assert read(tmp_path, raw).tensors["input"].tolist() == [1, 2]


def test_name_size_and_hash_are_those_of_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = saved(np.ones(3))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x.npy").write_bytes(raw)
    file = read_batch("folder/x.npy", hashed=True).file
    assert (file.name, file.nbytes) == ("folder/x.npy", len(raw))
    assert file.sha256 == hashlib.sha256(raw).hexdigest()
    assert read_batch("folder/x.npy", hashed=False).file.sha256 == ""


@pytest.mark.parametrize("hashed", [True, False])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch, hashed):
    file = tmp_path / "x.npy"
    file.write_bytes(saved(np.ones(3)))

    def read_and_touch(source):
        tensor = read_npy(source)
        file.write_bytes(saved(np.ones(4)))
        return tensor

    monkeypatch.setattr("normcli.initialization.batch.read_npy", read_and_touch)
    with pytest.raises(ChangedError, match="changed while it was read"):
        read_batch(str(file), hashed=hashed)


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (np.array(["a"]), "text ('<U1')"),
        (np.array([b"a"]), "bytes ('|S1')"),
        (np.array([{}], dtype=object), "Python objects ('|O')"),
        (np.zeros(2, [("a", "<f4")]), "records ('[('a', '<f4')]')"),
        (np.zeros(2, "V3"), "records ('|V3')"),
        (np.zeros(2, "M8[s]"), "dates ('<M8[s]')"),
        (np.zeros(2, "m8[s]"), "entries of numpy's dtype '<m8[s]'"),
    ],
)
def test_what_is_no_number_is_refused(tmp_path, array, what):
    error = refusal(tmp_path, saved(array, allow_pickle=True))
    assert error.message == f"holds {what}, expected numbers that torch has"
    assert error.hint == SAVE


@pytest.mark.parametrize("descr", ["<f16", "<c32", "<f3", "<b1", "<i16", "f", "<f4,<f4", "x", ""])
def test_what_torch_does_not_have_is_refused(tmp_path, descr):
    if descr == "<b1":  # numpy's own spelling is |b1; the order of one byte means nothing
        assert read(tmp_path, headed(header_of(descr), b"\1")).tensors["input"].tolist() == [True]
        return
    error = refusal(tmp_path, headed(header_of(descr), bytes(64)))
    assert error.message.startswith("holds entries of numpy's dtype '")


def header_of(descr):
    return f"{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,), }}"


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8"])
def test_values_that_are_no_numbers_are_counted(tmp_path, dtype):
    array = np.ones(5, dtype)
    array[[1, 3]] = np.nan
    message = "'input' holds NaN in 2 of 5 values, expected numbers"
    assert refusal(tmp_path, saved(array)).message == message


def test_an_infinity_may_stand_in_a_mask(tmp_path):
    array = np.array([0, -np.inf], dtype="f4")
    assert read(tmp_path, saved(array)).tensors["input"].tolist() == [0, -np.inf]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (saved(np.zeros((0, 3))), "has shape [0, 3], expected at least one entry"),
        (
            headed(PLAIN % "(10**3,)"),
            "its numpy header is damaged",
        ),
        (
            headed(PLAIN % "(1000000000000,)", bytes(16)),
            "holds 16 bytes of entries, expected 4000000000000 for float32 [1000000000000]",
        ),
        (
            headed(PLAIN % f"({2**80}, {2**80})", bytes(16)),
            f"holds 16 bytes of entries, expected 2^162 or more for float32 [{HUGE}, {HUGE}]",
        ),
        (
            headed(PLAIN % f"({2**80}, 0)"),
            f"has shape [{HUGE}, 0], expected at least one entry",
        ),
        (
            saved(np.float32([1, 2])) + saved(np.float32([1])),
            "holds 132 bytes after its array of float32 [2]",
        ),
        (saved(np.ones(3))[:-1], "holds 23 bytes of entries, expected 24 for float64 [3]"),
        (b"\x93NUMPY", "ends at or before byte 6, expected 2 more"),
        (b"\x93NUMPY\x01\x00\x76", "ends at or before byte 9, expected 1 more"),
        (saved(np.ones(3))[:60], "ends at or before byte 60, expected 68 more"),
        (headed("", version=4), "is a numpy array of version 4.0, expected 1.0 to 3.0"),
        (
            headed("x" * 5000),
            "its numpy header has 5000 bytes, an array of numbers needs 4096 at most",
        ),
    ],
)
def test_a_file_that_contradicts_its_header_is_refused(tmp_path, raw, message):
    assert refusal(tmp_path, raw).message == message


@pytest.mark.parametrize(
    "header",
    [
        "",
        "[" * 4000,
        "-" * 4000 + "1",
        "{" * 90,
        "{[]: 1}",
        "\\d",
        "'\\d'",
        "1and 2",
        "\xff",
        "\0",
        "__import__('os').system('true')",
        PLAIN % "(2L,)",
    ],
)
def test_a_header_that_is_no_literal_is_damaged(tmp_path, header):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = refusal(tmp_path, headed(header, bytes(8)))
    assert error.message in {
        "its numpy header is damaged",
        "its numpy header is not that of an array",
    }
    assert error.hint == SAVE


@pytest.mark.parametrize(
    "header",
    [
        "1",
        "{}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': 1, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}",
    ],
)
def test_a_header_of_another_form_is_not_that_of_an_array(tmp_path, header):
    error = refusal(tmp_path, headed(header, bytes(8)))
    assert error.message == "its numpy header is not that of an array"


@pytest.mark.parametrize(
    "shape", ["2", "[2]", "(-2,)", "(True,)", "(2.0,)", "('2',)", f"({'1,' * 65})"]
)
def test_a_shape_is_a_tuple_of_sizes(tmp_path, shape):
    error = refusal(tmp_path, headed(PLAIN % shape, bytes(8)))
    assert error.message == "its numpy header has no shape"


def test_nothing_is_allocated_for_a_header_that_claims_too_much(tmp_path, monkeypatch):
    file = tmp_path / "x.npy"
    file.write_bytes(headed(PLAIN % "(1000000000000,)", bytes(16)))
    monkeypatch.setattr("normcli.initialization.npy.read_tensor", None)
    source = Source(str(file))
    with pytest.raises(CheckpointError):
        read_npy(source)
    source.close()


@pytest.mark.parametrize("at", range(128))
def test_a_changed_byte_of_the_header_is_refused_or_read_as_numpy_reads_it(tmp_path, at):
    whole = saved(np.arange(1, 7, dtype="<i4").reshape(2, 3))
    assert len(whole) == 128 + 24
    for byte in (0, 10, 39, 40, 45, 48, 49, 50, 57, 62, 91, 92, 117, 128, 255, whole[at] ^ 1):
        raw = whole[:at] + bytes([byte]) + whole[at + 1 :]
        try:
            tensor = read(tmp_path, raw).tensors["input"]
        except CheckpointError:
            continue
        expected = np.load(io.BytesIO(raw))
        assert expected.shape == tuple(tensor.shape)
        assert expected.tolist() == tensor.tolist()


def test_a_file_cut_anywhere_is_refused(tmp_path):
    whole = saved(np.arange(1, 7, dtype="<i4").reshape(2, 3))
    for end in range(len(whole)):
        refusal(tmp_path, whole[:end])
