"""A folder appears whole or not at all."""

import os
import stat
import threading

import pytest
from disks import NEW, OLD, PIECE, fail, names, small_disk

from normcli.durable import check_folder, new_file, new_folder
from normcli.errors import OutputError


def test_a_folder_appears_whole(tmp_path):
    path = tmp_path / "model"
    with new_folder(path) as folder:
        (folder / "a.bin").write_bytes(NEW)
        with new_file(folder / "b.bin", replace=False) as new:
            new.file.write(NEW)
        assert not path.exists()
        assert folder.parent == tmp_path
        assert folder.name.startswith(".")
    assert names(tmp_path) == ["model"]
    assert {each.name: each.read_bytes() for each in path.iterdir()} == {"a.bin": NEW, "b.bin": NEW}


def test_an_empty_folder_gives_way_to_a_new_one(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    check_folder(path)
    with new_folder(path) as folder:
        (folder / "a.bin").write_bytes(NEW)
    assert names(path) == ["a.bin"]


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_there_stays(tmp_path, kind):
    path, other = tmp_path / "model", tmp_path / "other"
    other.mkdir()
    if kind == "file":
        path.write_bytes(OLD)
    elif kind == "link":
        path.symlink_to(other)
    else:
        path.mkdir()
        (path / "old.bin").write_bytes(OLD)
    for check in (check_folder, lambda path: fill(path, "new.bin")):
        with pytest.raises(OutputError, match="exists and is not an empty folder"):
            check(path)
    assert names(tmp_path) == ["model", "other"]
    assert kind != "folder" or names(path) == ["old.bin"]


def fill(path, name):
    with new_folder(path) as folder:
        (folder / name).write_bytes(NEW)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_no_folder(tmp_path, error):
    with (
        pytest.raises(error),
        new_folder(tmp_path / "model") as folder,
        (folder / "a.bin").open("wb") as file,
    ):
        fail(file, error)
    assert names(tmp_path) == []


def test_a_full_disk_leaves_no_folder(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        path = disk / "model"
        with pytest.raises(OutputError, match="No space left"), new_folder(path) as folder:
            (folder / "a.bin").write_bytes(b"x" * (2 * PIECE))
        assert names(disk) == []
        with pytest.raises(OutputError, match=r"needs 3\.2 MB"):
            check_folder(path, nbytes=3_200_000)


def test_every_file_of_a_folder_is_synced_before_it_appears(tmp_path, monkeypatch):
    path = tmp_path / "model"
    synced = {}
    monkeypatch.setattr(os, "fsync", lambda fd: synced.update({inode(fd): path.exists()}))
    fill(path, "a.bin")
    assert synced == {inode(path / "a.bin"): False, inode(path): False, inode(tmp_path): True}


def inode(place):
    return os.stat(place).st_ino  # noqa: PTH116 - a descriptor as well


def test_a_folder_has_what_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        fill(tmp_path / "model", "a.bin")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o750


def test_of_five_folders_one_wins(tmp_path):
    path = tmp_path / "model"
    barrier = threading.Barrier(5)
    won = []

    def write_folder(number):
        try:
            with new_folder(path) as folder:
                (folder / f"{number}.bin").write_bytes(NEW)
                barrier.wait()
        except OutputError:
            return
        won.append(number)

    threads = [threading.Thread(target=write_folder, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert names(path) == [f"{won[0]}.bin"]
    assert names(tmp_path) == ["model"]
