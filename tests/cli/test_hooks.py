"""The pre-commit hook: its manifest, and a commit that it lets through or stops."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from processes import environment
from safetensors.torch import save_file

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / ".pre-commit-hooks.yaml"


def hook():
    (found,) = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    return found


def ran(*command, folder, **more):
    return subprocess.run(
        command, cwd=folder, env=environment(**more), capture_output=True, text=True, check=False
    )


@pytest.fixture
def repository(tmp_path):
    """A repository whose hook is that of the manifest, run with the interpreter of the tests."""
    folder = tmp_path / "repository"
    folder.mkdir()
    entry = hook()["entry"].replace("normcli", f"{sys.executable} -m normcli", 1)
    local = {**hook(), "language": "system", "entry": entry}
    config = {"repos": [{"repo": "local", "hooks": [local]}]}
    (folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    assert ran("git", "init", "-q", folder=folder).returncode == 0
    return folder


def committed(folder, home):
    """What `pre-commit run` says of the files that are about to be committed."""
    nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    ran("git", "add", "--all", folder=folder, **nobody)
    more = {"PRE_COMMIT_HOME": str(home), "PIP_NO_INDEX": "1", **nobody}
    return ran(sys.executable, "-m", "pre_commit", "run", folder=folder, **more)


def test_the_manifest_is_valid(tmp_path):
    done = ran(
        sys.executable, "-m", "pre_commit", "validate-manifest", MANIFEST, folder=tmp_path,
        PRE_COMMIT_HOME=str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name", ["a.safetensors", "b/c.pt", "d e.pth", "pytorch_model.bin", "x.ckpt", "OLD.PT"]
)
def test_every_kind_of_checkpoint_is_looked_at(name):
    assert re.search(hook()["files"], name)


@pytest.mark.parametrize("name", ["a.py", "a.pt.md", "pt", "model.safetensors.index.json"])
def test_nothing_else_is_looked_at(name):
    assert not re.search(hook()["files"], name)


def test_a_sound_checkpoint_is_let_through(repository, tmp_path):
    save_file({"fc.weight": torch.eye(4)}, repository / "good one.safetensors")
    done = committed(repository, tmp_path / "home")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed" in done.stdout


def test_a_broken_weight_stops_the_commit(repository, tmp_path):
    save_file({"fc.weight": torch.eye(4)}, repository / "good.safetensors")
    torch.save({"fc.weight": torch.full((2, 2), torch.nan)}, repository / "bad.pt")
    done = committed(repository, tmp_path / "home")
    assert done.returncode == 1
    assert "exit code: 1" in done.stdout
    assert "fc.weight" in done.stdout
    assert "bad.pt" in done.stdout


def test_a_file_that_cannot_be_read_stops_the_commit(repository, tmp_path):
    (repository / "pointer.pt").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    )
    done = committed(repository, tmp_path / "home")
    assert done.returncode == 1
    assert "exit code: 2" in done.stdout
    assert "pointer.pt" in done.stdout


def test_a_policy_of_the_repository_is_held_to(repository, tmp_path):
    save_file({"fc.weight": torch.eye(4) * 3}, repository / "large.safetensors")
    (repository / "normcli.toml").write_text(
        'schema = 1\n[[demand]]\nrule = "spectral-limit"\nlimit = 1.01\n'
    )
    done = committed(repository, tmp_path / "home")
    assert done.returncode == 1
    assert "spectral-limit" in done.stdout


def test_the_name_of_a_file_is_no_option(repository, tmp_path):
    torch.save({"fc.weight": torch.full((2, 2), torch.nan)}, repository / "--exclude=*.pt")
    (repository / "x.pt").write_text("schema = 1\n")
    torch.save({"x": torch.eye(2)}, repository / "--policy=x.pt")
    done = committed(repository, tmp_path / "home")
    assert done.returncode == 1
    assert "fc.weight" in done.stdout
    assert "x.pt: " in done.stdout
