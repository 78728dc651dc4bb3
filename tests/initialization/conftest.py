"""A folder of a user: modules with models, a checkpoint and a batch."""

from __future__ import annotations

import shutil
import sys

import fault_models
import pytest
import torch
from initialize_faults import BATCH
from initialized_nets import saved
from safetensors.torch import save_file


@pytest.fixture
def user_folder(tmp_path, monkeypatch):
    """A user's folder: modules, a checkpoint and a batch; the process is in it."""
    shutil.copy(fault_models.__file__, tmp_path / "nets.py")
    (tmp_path / "needs.py").write_text("import torch\nimport none\n")
    (tmp_path / "wrong.py").write_text("def build(:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    torch.manual_seed(1)
    saved(fault_models.build().state_dict(), tmp_path / "in.pt")
    save_file({"input": BATCH}, tmp_path / "batch.safetensors")
    yield tmp_path
    for name in ("nets", "needs", "wrong"):
        sys.modules.pop(name, None)


@pytest.fixture
def within_folder(user_folder):
    """The same with a checkpoint of `Within`."""
    saved(fault_models.Within().state_dict(), user_folder / "in.pt")
    return user_folder
