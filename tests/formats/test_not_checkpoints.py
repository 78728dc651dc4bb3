"""Files that are no checkpoint: one sentence, what they are, what helps."""

from __future__ import annotations

import gzip
import io
import os
import socket
import tarfile
import zipfile

import numpy as np
import pytest

from normcli.errors import CheckpointError, UsageError
from normcli.formats import open_checkpoint


def tar_file():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as packed:
        packed.addfile(tarfile.TarInfo("storages"))
    return buffer.getvalue()


def npz_file():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


def npy_file():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def zip_file():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("word/document.xml", "text")
    return buffer.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
ONNX = b"\x08\x07\x12\x07pytorch\x1a\x051.13."

CASES = [
    ("empty", b"", "is empty", "failed"),
    ("four bytes", b"abcd", "not a checkpoint: its 4 bytes start with 61 62 63 64", "torch"),
    ("git-lfs pointer", POINTER, "git-lfs pointer", "run git lfs pull"),
    ("web page", b"<!DOCTYPE html>\n<html>", "is a web page", "login"),
    ("upper case page", b"\n <HTML><HEAD>", "is a web page", "login"),
    ("gzip", gzip.compress(b"abc"), "compressed with gzip", "unpack"),
    ("tar", tar_file(), "is a tar archive", "tar format"),
    ("GGUF", b"GGUF\x03\0\0\0" + bytes(64), "is a GGUF file", ""),
    ("HDF5", b"\x89HDF\r\n\x1a\n" + bytes(64), "is an HDF5 file", ""),
    ("ONNX", ONNX, "looks like an ONNX file", ""),
    ("npy", npy_file(), "is a numpy array", ""),
    ("npz", npz_file(), "is a numpy archive", "save it with safetensors"),
    ("zip", zip_file(), "without data.pkl", ""),
    ("JSON", b'{"hidden_size": 768}', "it has no weight_map", "weights"),
    ("JSON list", b"[1, 2]", "it has no weight_map", ""),
    ("broken JSON", b'{"hidden_', "is not JSON", ""),
    ("plain pickle", b"\x80\x04]\x94.", "is a pickle that torch.save did not write", ""),
    ("random", bytes(range(7, 107)), "is not a checkpoint", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "fragment", "hint"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_file_that_is_no_checkpoint_is_called_what_it_is(assert_refused, content, fragment, hint):
    assert_refused(content, fragment, hint=hint)


def test_random_bytes_of_any_length_are_refused(assert_refused):
    for length in range(1, 300, 13):
        assert_refused(os.urandom(length - 1) + b"~", "")


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        open_checkpoint(tmp_path / "nothing.pt")


def test_a_fifo_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="is a FIFO, expected a regular file"):
        open_checkpoint(tmp_path / "pipe")


def test_a_device_is_refused():
    with pytest.raises(CheckpointError, match="is a device"):
        open_checkpoint("/dev/zero")


def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path has to be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("door")
        with pytest.raises(CheckpointError, match="door: cannot be opened"):
            open_checkpoint("door")


def test_a_path_with_nul_is_refused():
    with pytest.raises(CheckpointError, match="not a path"):
        open_checkpoint("a\0b")


def test_a_path_that_is_too_long_is_refused():
    with pytest.raises(CheckpointError, match="cannot be opened"):
        open_checkpoint("a" * 5000)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"abc")
    path.chmod(0)
    with pytest.raises(CheckpointError, match="Permission denied"):
        open_checkpoint(path)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_a_budget_scale_out_of_range_is_a_usage_error(tmp_path, scale):
    with pytest.raises(UsageError, match="budget scale"):
        open_checkpoint(tmp_path / "any.pt", budget_scale=scale)
