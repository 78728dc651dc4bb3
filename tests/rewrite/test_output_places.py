"""Where an output goes, and in which format."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from normcli.errors import OutputError, UsageError
from normcli.rewrite.target import target_of


def _target(path, word="plain", file_format="torch-zip", files=None, **options):
    checkpoint = SimpleNamespace(
        path=str(path),
        format=file_format,
        files=[SimpleNamespace(name=name) for name in files or [os.path.basename(path)]],  # noqa: PTH119
    )
    given = {"output": None, "force": False, "in_place": False, "sharded": False, **options}
    return target_of(checkpoint, word, **given)


@pytest.mark.parametrize(
    ("path", "word", "expected"),
    [
        ("a/model.pt", "spectral", "a/model.spectral.pt"),
        ("model.v2.safetensors", "plain", "model.v2.plain.safetensors"),
        ("g_02500000", "weight", "g_02500000.weight"),
        ("./x.ckpt", "refreshed", "x.refreshed.ckpt"),
    ],
)
def test_an_output_without_a_name_stands_beside_its_input(path, word, expected):
    assert str(_target(path, word).path) == expected


def test_shards_go_into_a_folder_beside_theirs(tmp_path):
    folder = tmp_path / "llama"
    folder.mkdir()
    files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for given, expected in (
        (folder, tmp_path / "llama.plain"),
        (folder / "model.safetensors.index.json", folder / "model.plain"),
        (folder / files[0], folder / "model.plain"),
    ):
        target = _target(given, file_format="sharded-safetensors", files=files)
        assert (target.path, target.format) == (expected, "sharded-safetensors")


def test_a_folder_with_one_file_gets_a_file_in_that_folder(tmp_path):
    target = _target(tmp_path, file_format="safetensors", files=["model.safetensors"])
    assert target.path == tmp_path / "model.plain.safetensors"


@pytest.mark.parametrize(
    ("file_format", "output", "sharded", "expected"),
    [
        ("torch-zip", "b.safetensors", False, "safetensors"),
        ("torch-zip", "b.SAFETENSORS", False, "safetensors"),
        ("safetensors", "b.pt", False, "torch-zip"),
        ("safetensors", "b.bin", False, "torch-zip"),
        ("safetensors", "b", False, "safetensors"),
        ("torch-legacy", "b", False, "torch-zip"),
        ("torchscript", "b.pth", False, "torch-zip"),
        ("safetensors", "b", True, "sharded-safetensors"),
        ("torch-zip", "b", True, "sharded-torch"),
        ("torch-zip", "b/", False, "sharded-torch"),
        ("sharded-torch", "b", False, "sharded-torch"),
        ("sharded-torch", "b.safetensors", False, "safetensors"),
        ("sharded-safetensors", "b.pt", False, "torch-zip"),
    ],
)
def test_the_name_of_the_output_says_its_format(file_format, output, sharded, expected):
    target = _target("a.x", file_format=file_format, output=output, sharded=sharded)
    assert target.format == expected


def test_shards_in_a_file_and_a_checkpoint_on_standard_output_cannot_be_meant():
    with pytest.raises(UsageError, match="shards need a folder"):
        _target("a.pt", output="b.safetensors", sharded=True)
    with pytest.raises(UsageError, match="standard output"):
        _target("a.pt", output="-")


@pytest.mark.parametrize("options", [{"output": "b.pt"}, {"force": True}])
def test_in_place_stands_alone(options):
    with pytest.raises(UsageError) as error:
        _target("a.pt", in_place=True, **options)
    assert error.value.where == "--in-place"


def test_shards_are_not_replaced_in_place():
    with pytest.raises(OutputError, match="cannot be replaced at one moment"):
        _target("a", file_format="sharded-torch", in_place=True)


def test_in_place_replaces_what_a_link_leads_to(tmp_path):
    (tmp_path / "real.pt").touch()
    (tmp_path / "link.pt").symlink_to("real.pt")
    assert _target(tmp_path / "link.pt", in_place=True).path == tmp_path / "real.pt"
