"""What is refused before anything is computed."""

import os
import stat
from pathlib import Path

import pytest
from disks import OLD, small_disk

from normcli.durable import check_folder, check_target, is_plain, is_same
from normcli.errors import OutputError


def refusal(path, **options):
    with pytest.raises(OutputError) as caught:
        check_target(path, **{"inputs": (), "force": False, **options})
    return caught.value


def test_a_free_place_is_taken(tmp_path):
    check_target(tmp_path / "new.bin", inputs=[str(tmp_path / "old.bin")], force=False, nbytes=1)


def test_a_folder_that_is_missing_is_refused(tmp_path):
    error = refusal(tmp_path / "none" / "new.bin")
    assert error.message == "its folder does not exist"
    assert error.hint == "create the folder first"


def test_an_existing_file_is_refused_without_force(tmp_path):
    path = tmp_path / "old.bin"
    path.write_bytes(OLD)
    assert str(refusal(path)) == f"{path}: exists"
    assert refusal(path).hint == "replace it with --force"
    check_target(path, inputs=(), force=True)


def test_a_dangling_link_is_refused_without_force(tmp_path):
    link = tmp_path / "link.bin"
    link.symlink_to(tmp_path / "none.bin")
    assert refusal(link).message == "exists"
    check_target(link, inputs=(), force=True)


@pytest.mark.parametrize("spelling", ["path", "dot", "hard link", "symbolic link", "folder link"])
@pytest.mark.parametrize("force", [False, True])
def test_an_input_is_refused_by_any_name(tmp_path, monkeypatch, spelling, force):
    path = tmp_path / "model.pt"
    path.write_bytes(OLD)
    monkeypatch.chdir(tmp_path)
    places = {
        "path": path,
        "dot": "./model.pt",
        "hard link": tmp_path / "hard.pt",
        "symbolic link": tmp_path / "soft.pt",
        "folder link": tmp_path / "here" / "model.pt",
    }
    os.link(path, places["hard link"])
    places["symbolic link"].symlink_to(path)
    (tmp_path / "here").symlink_to(tmp_path)
    error = refusal(Path(places[spelling]), inputs=[str(path)], force=force)
    assert error.message == "is an input; normcli does not write over it"
    assert "--in-place" in error.hint
    check_target(Path(places[spelling]), inputs=[str(path)], force=False, in_place=True)


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("options", [{}, {"force": True}, {"in_place": True}])
@pytest.mark.parametrize("kind", ["a directory", "a FIFO", "a device", "a socket"])
def test_what_is_not_a_file_is_refused(tmp_path, kind, options, linked):
    if kind == "a device":
        path = Path("/dev/full")
    else:
        path = tmp_path / "thing"
        if kind == "a directory":
            path.mkdir()
        else:
            kinds = {"a FIFO": stat.S_IFIFO, "a socket": stat.S_IFSOCK}
            os.mknod(path, kinds[kind] | 0o600)
    if linked:
        link = tmp_path / "link"
        link.symlink_to(path)
        path = link
    assert refusal(path, **options).message == f"is {kind}, expected a file"
    assert not is_plain(path)


def test_too_little_space_is_told_with_both_numbers(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        error = refusal(disk / "new.bin", nbytes=3_200_000)
        assert error.message == "needs 3.2 MB, its file system has 1.049 MB free"
        check_target(disk / "new.bin", inputs=(), force=False, nbytes=1_048_576)


def test_in_place_looks_at_the_folder_behind_a_link(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        (disk / "model.pt").write_bytes(OLD)
        link = tmp_path / "model.pt"
        link.symlink_to(disk / "model.pt")
        options = {"inputs": [str(link)], "in_place": True, "nbytes": 2_000_000}
        assert "its file system has" in refusal(link, **options).message


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("a\0b", "NUL"),
        ("a" * 300, "File name too long"),
        ("", "a directory"),
        ("..", "a directory"),
    ],
)
def test_what_is_no_path_of_a_file_is_refused(tmp_path, monkeypatch, path, sentence):
    monkeypatch.chdir(tmp_path)
    assert sentence in refusal(Path(path)).message
    with pytest.raises(OutputError):
        check_folder(Path(path))


def test_a_link_to_itself_is_refused(tmp_path):
    path = tmp_path / "loop"
    path.symlink_to(path)
    assert "Too many levels of symbolic links" in refusal(path).message


def test_two_files_with_the_same_bytes_are_two(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(OLD)
    second.write_bytes(OLD)
    assert not is_same(first, second)
    assert is_same(tmp_path / "none", tmp_path / "." / "none")


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    with small_disk(tmp_path / "disk", "size=1m,ro") as disk:
        assert "cannot be written to" in refusal(disk / "new.bin").message
