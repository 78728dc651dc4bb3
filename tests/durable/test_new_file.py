"""A file appears whole, under its name, with the mode it should have."""

import errno
import os
import stat
from pathlib import Path

import pytest
from disks import NEW, OLD, fail, names, write

from normcli.durable import new_file
from normcli.errors import OutputError

MODES = pytest.mark.parametrize("replace", [False, True])


def test_a_file_appears_when_the_block_ends(tmp_path, way):
    path = tmp_path / "new.bin"
    with new_file(path, replace=False) as new:
        new.file.write(NEW)
        assert not path.exists()
    assert path.read_bytes() == NEW
    assert names(tmp_path) == ["new.bin"]


def test_a_file_without_a_name_is_not_even_hidden(tmp_path):
    with new_file(tmp_path / "new.bin", replace=False) as new:
        new.file.write(NEW)
        if new.path.startswith(str(tmp_path)):
            pytest.skip("this file system has no files without names")
        assert names(tmp_path) == []


def test_a_file_can_be_opened_before_it_is_published(tmp_path, way):
    with new_file(tmp_path / "new.bin", replace=False) as new:
        new.file.write(NEW)
        new.file.flush()
        assert Path(new.path).read_bytes() == NEW
        new.file.seek(4)
        assert new.file.read() == NEW[4:]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
@MODES
def test_an_exception_leaves_nothing(tmp_path, way, replace, error):
    path = tmp_path / "new.bin"
    if replace:
        path.write_bytes(OLD)
    before = names(tmp_path)
    with pytest.raises(error), new_file(path, replace=replace) as new:
        fail(new.file, error)
    assert names(tmp_path) == before
    assert not replace or path.read_bytes() == OLD


def test_an_old_file_stays_without_replace(tmp_path, way):
    path = tmp_path / "old.bin"
    path.write_bytes(OLD)
    with pytest.raises(OutputError, match=r"old\.bin: exists") as caught:
        write(path)
    assert "--force" in caught.value.hint
    assert path.read_bytes() == OLD
    assert names(tmp_path) == ["old.bin"]


def test_an_old_file_gives_way_with_replace(tmp_path, way):
    path = tmp_path / "old.bin"
    path.write_bytes(OLD)
    write(path, replace=True)
    assert path.read_bytes() == NEW
    assert names(tmp_path) == ["old.bin"]


def test_whoever_opened_the_old_file_reads_it_on(tmp_path, way):
    path = tmp_path / "old.bin"
    path.write_bytes(OLD)
    with path.open("rb") as reader:
        write(path, replace=True)
        assert reader.read() == OLD


def test_a_file_that_appears_meanwhile_stays_without_replace(tmp_path, way):
    path = tmp_path / "new.bin"
    with pytest.raises(OutputError, match="exists"), new_file(path, replace=False):
        path.write_bytes(OLD)
    assert path.read_bytes() == OLD
    assert names(tmp_path) == ["new.bin"]


def test_a_relative_path_is_written_to(tmp_path, way, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path("new.bin"))
    write(Path("new.bin"), replace=True)
    assert names(tmp_path) == ["new.bin"]


@pytest.mark.parametrize("name", ["重" * 80, "a" * 255, "a b\n.bin", "-f", ".hidden", "\udcff"])
@MODES
def test_any_name_that_a_file_can_have_is_written_to(tmp_path, way, name, replace):
    write(tmp_path / name, replace=replace)
    assert names(tmp_path) == [name]


def test_a_name_that_is_too_long_is_told(tmp_path, way):
    with pytest.raises(OutputError, match="File name too long"):
        write(tmp_path / ("a" * 256))
    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_links_is_written_to(tmp_path, monkeypatch, error):
    def no_link(*_, **__):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", no_link)
    path = tmp_path / "new.bin"
    write(path, OLD)
    with pytest.raises(OutputError, match="exists"):
        write(path)
    assert path.read_bytes() == OLD
    write(path, replace=True)
    assert path.read_bytes() == NEW
    assert names(tmp_path) == ["new.bin"]


def test_file_and_folder_are_synced_in_this_order(tmp_path, way, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd)))
    path = tmp_path / "new.bin"
    write(path)
    assert [each.st_ino for each in synced] == [path.stat().st_ino, tmp_path.stat().st_ino]
    assert synced[0].st_size == len(NEW)
    assert synced[0].st_nlink == (0 if way == "nameless" else 1)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
@MODES
def test_a_new_file_has_what_the_umask_leaves(tmp_path, way, mask, replace):
    before = os.umask(mask)
    try:
        write(tmp_path / "new.bin", replace=replace)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.bin").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o664, 0o755])
def test_the_mode_of_the_old_file_is_kept(tmp_path, way, mode):
    path = tmp_path / "old.bin"
    path.write_bytes(OLD)
    path.chmod(mode)
    write(path, replace=True, like=path.stat())
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_group_and_owner_of_the_old_file_are_kept(tmp_path, way):
    if os.geteuid() != 0:
        pytest.skip("only root may give a file to another user")
    path = tmp_path / "old.bin"
    path.write_bytes(OLD)
    os.chown(path, 12345, 23456)
    path.chmod(0o640)
    write(path, replace=True, like=path.stat())
    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (12345, 23456, 0o640)


def test_another_group_gets_no_more_than_everybody(tmp_path, monkeypatch):
    def not_allowed(*_):
        raise PermissionError(errno.EPERM, "not allowed")

    path = tmp_path / "old.bin"
    path.write_bytes(OLD)
    path.chmod(0o664)
    like = os.stat_result([*path.stat()[:5], path.stat().st_gid + 1, *path.stat()[6:]])
    monkeypatch.setattr(os, "fchown", not_allowed)
    write(path, replace=True, like=like)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_private_file_is_private_from_the_start(tmp_path, way):
    path = tmp_path / "old.bin"
    path.write_bytes(OLD)
    path.chmod(0o600)
    with new_file(path, replace=True, like=path.stat()) as new:
        assert stat.S_IMODE(os.fstat(new.file.fileno()).st_mode) == 0o600


def test_a_symbolic_link_is_replaced_and_its_target_stays(tmp_path, way):
    target, link = tmp_path / "target.bin", tmp_path / "link.bin"
    target.write_bytes(OLD)
    link.symlink_to(target)
    with pytest.raises(OutputError, match="exists"):
        write(link)
    write(link, replace=True)
    assert target.read_bytes() == OLD
    assert not link.is_symlink()
    assert link.read_bytes() == NEW


def test_a_dangling_link_is_not_followed(tmp_path, way):
    link = tmp_path / "link.bin"
    link.symlink_to(tmp_path / "none.bin")
    with pytest.raises(OutputError, match="exists"):
        write(link)
    write(link, replace=True)
    assert names(tmp_path) == ["link.bin"]


def test_the_other_names_of_a_replaced_file_keep_its_bytes(tmp_path, way):
    first, second = tmp_path / "first.bin", tmp_path / "second.bin"
    first.write_bytes(OLD)
    os.link(first, second)
    write(first, replace=True)
    assert (first.read_bytes(), second.read_bytes()) == (NEW, OLD)
