"""The zip archive of the torch writer: aligned, of the size that was announced, read by others."""

from __future__ import annotations

import io
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from produced import write_file

from normcli.errors import OutputError
from normcli.formats import open_checkpoint
from normcli.formats.writers.draft import Draft
from normcli.formats.writers.torch_archive import ALIGNMENT, Member, archive_bytes, write_archive
from normcli.formats.writers.torch_writer import torch_blueprint

torch.set_num_threads(1)

MEMBERS = st.lists(
    st.tuples(st.text("abc/", min_size=1, max_size=40), st.integers(0, 300)),
    max_size=12, unique_by=lambda member: member[0],
)  # fmt: skip


def packed(contents):
    members = [(Member(name, len(content)), content) for name, content in contents.items()]
    out = io.BytesIO()
    write_archive(out, ((member, iter([memoryview(content)])) for member, content in members))
    assert len(out.getvalue()) == archive_bytes([member for member, _ in members])
    return out.getvalue()


def data_offset(archive, entry):
    local = archive[entry.header_offset : entry.header_offset + 30]
    sizes = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    return entry.header_offset + 30 + sizes


@settings(deadline=None, max_examples=60)
@given(MEMBERS, st.sampled_from([2**31 - 1, 100, 0]), st.sampled_from([65535, 2]))
def test_any_archive_is_aligned_and_as_long_as_announced(members, limit, count):
    contents = {name: bytes([len(name)]) * size for name, size in members}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zipfile, "ZIP64_LIMIT", limit)
        patch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", count)
        archive = packed(contents)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        for entry in opened.infolist():
            assert opened.read(entry) == contents[entry.filename.removeprefix("archive/")]
            assert data_offset(archive, entry) % ALIGNMENT == 0
            assert entry.compress_type == zipfile.ZIP_STORED
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)


def test_records_of_64_bit_sizes_are_read_by_torch_and_by_normcli(tmp_path, monkeypatch):
    content = {"w": torch.randn(40, 50), "v": torch.ones(3)}
    torch.save(content, tmp_path / "in.pt")
    with open_checkpoint(tmp_path / "in.pt") as checkpoint:
        monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
        write_file(torch_blueprint(checkpoint, Draft()), tmp_path / "out.pt")
        monkeypatch.undo()
    loaded = torch.load(tmp_path / "out.pt", weights_only=True, mmap=True)
    with open_checkpoint(tmp_path / "out.pt") as checkpoint:
        for name, tensor in content.items():
            assert torch.equal(loaded[name], tensor)
            assert torch.equal(checkpoint.read(name), tensor)


def test_records_stand_in_the_order_of_torch(tmp_path):
    content = {"w": torch.randn(4), "v": torch.ones(3)}
    torch.save(content, tmp_path / "in.pt")
    with open_checkpoint(tmp_path / "in.pt") as checkpoint:
        write_file(torch_blueprint(checkpoint, Draft()), tmp_path / "out.pt")
    with zipfile.ZipFile(tmp_path / "in.pt") as one, zipfile.ZipFile(tmp_path / "out.pt") as other:
        ours = [name.partition("/")[2] for name in other.namelist()]
        theirs = [name.partition("/")[2] for name in one.namelist()]
        assert ours == [name for name in theirs if not name.startswith(".")]
        for name in ours[1:]:
            assert one.read(f"in/{name}") == other.read(f"archive/{name}")


def test_tensors_begin_at_aligned_addresses_when_they_are_mapped(tmp_path):
    torch.save({str(n): torch.randn(n) for n in range(1, 20)}, tmp_path / "in.pt")
    with open_checkpoint(tmp_path / "in.pt") as checkpoint:
        write_file(torch_blueprint(checkpoint, Draft()), tmp_path / "out.pt")
    loaded = torch.load(tmp_path / "out.pt", weights_only=True, mmap=True)
    assert {tensor.data_ptr() % ALIGNMENT for tensor in loaded.values()} == {0}


def test_a_file_that_takes_few_bytes_at_once_gets_them_all():
    class Slow(io.BytesIO):
        def write(self, data):
            return super().write(bytes(data[:7]))

    content = bytes(range(256)) * 3
    out = Slow()
    write_archive(out, iter([(Member("a", len(content)), iter([memoryview(content)]))]))
    with zipfile.ZipFile(io.BytesIO(out.getvalue())) as opened:
        assert opened.read("archive/a") == content


def test_a_content_of_another_length_is_an_error():
    with pytest.raises(OutputError, match="3 bytes, expected 4"):
        write_archive(io.BytesIO(), iter([(Member("a", 4), iter([memoryview(b"abc")]))]))
