"""Checkpoints that the command line is tried on."""

import signal

import pytest
import torch
from safetensors.torch import save_file


@pytest.fixture(autouse=True)
def signals_are_heard():
    """A test run in the background may ignore signals, and what it starts would ignore them too."""
    ignored = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if _is_ignored(n)]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


def _is_ignored(number):
    return signal.getsignal(number) is signal.SIG_IGN


@pytest.fixture
def model(tmp_path):
    """Three small weights and a bias; the largest singular value of `b.weight` is 3."""
    path = tmp_path / "model.safetensors"
    tensors = {
        "a.weight": torch.eye(4),
        "a.bias": torch.zeros(4),
        "b.weight": torch.diag(torch.tensor([3.0, 1.0])),
        "c.weight": torch.full((2, 3), 2.0),
    }
    save_file(tensors, path)
    return path


@pytest.fixture
def lettered(tmp_path):
    """A weight whose name no ASCII stream can hold."""
    path = tmp_path / "lettered.safetensors"
    save_file({"größe.σ₁.重み": torch.eye(2)}, path)
    return path


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    """So many weights that their names fill a pipe."""
    path = tmp_path_factory.mktemp("large") / "large.safetensors"
    save_file({f"layer.{n}.weight": torch.zeros(1, 1) for n in range(5000)}, path)
    return path


@pytest.fixture
def small(tmp_path):
    """A checkpoint in a folder of its own, beside which outputs go."""
    folder = tmp_path / "here"
    folder.mkdir()
    torch.save({f"{n}.weight": torch.eye(8) for n in range(8)}, folder / "model.pt")
    return folder / "model.pt"
