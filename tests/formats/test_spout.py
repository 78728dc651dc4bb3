"""What is written arrives, whether the system copies it, part of it, or nothing."""

from __future__ import annotations

import errno
import os
import random
from io import BytesIO

import pytest

from normcli.formats.extents import Place
from normcli.formats.source import Source
from normcli.formats.writers.spout import Spout

CONTENT = random.Random(0).randbytes(1 << 20)
START = 4097
PIECE = 1 << 17


@pytest.fixture
def place(tmp_path):
    path = tmp_path / "input"
    path.write_bytes(CONTENT)
    source = Source(str(path))
    yield Place(source, START)
    source.close()


def _poured(out, place):
    spout = Spout(out)
    spout.write(b"head")
    with spout.copying(place):
        for first in range(START, len(CONTENT), PIECE):
            assert spout.write(CONTENT[first : first + PIECE]) == len(CONTENT[first:][:PIECE])
    spout.write(b"tail")
    out.flush()


EXPECTED = b"head" + CONTENT[START:] + b"tail"


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_file_holds_what_was_written(place, tmp_path, buffering):
    with (tmp_path / "out").open("w+b", buffering=buffering) as out:
        _poured(out, place)
    assert (tmp_path / "out").read_bytes() == EXPECTED


def test_a_file_in_memory_is_written_like_any_other(place):
    out = BytesIO()
    _poured(out, place)
    assert out.getvalue() == EXPECTED


@pytest.mark.skipif(not hasattr(os, "copy_file_range"), reason="only Linux copies by itself")
def test_what_the_system_copies_in_part_is_written_to_the_end(place, tmp_path, monkeypatch):
    whole = os.copy_file_range

    def half(source, target, count, *offsets):
        return whole(source, target, count // 2, *offsets)

    monkeypatch.setattr(os, "copy_file_range", half)
    with (tmp_path / "out").open("w+b") as out:
        _poured(out, place)
    assert (tmp_path / "out").read_bytes() == EXPECTED


@pytest.mark.parametrize("code", [errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EIO])
def test_a_system_that_does_not_copy_is_asked_once(place, tmp_path, monkeypatch, code):
    asked = []

    def refuse(*arguments):
        asked.append(arguments)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    with (tmp_path / "out").open("w+b") as out:
        _poured(out, place)
    assert (tmp_path / "out").read_bytes() == EXPECTED
    assert len(asked) == 1


def test_a_system_without_the_call_copies_nothing(place, tmp_path, monkeypatch):
    monkeypatch.delattr(os, "copy_file_range", raising=False)
    with (tmp_path / "out").open("w+b") as out:
        _poured(out, place)
    assert (tmp_path / "out").read_bytes() == EXPECTED


def test_a_full_disk_is_an_error_and_no_second_try(place, tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "copy_file_range", full, raising=False)
    with (tmp_path / "out").open("w+b") as out, pytest.raises(OSError, match="No space left"):
        _poured(out, place)
