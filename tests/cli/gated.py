"""Checkpoints and policies that a gate is tried on."""

import torch
from safetensors.torch import save_file

LIMIT = 'schema = 1\n[[demand]]\nrule = "spectral-limit"\nlimit = {}\n'


def sound(path):
    """Two weights and a bias that the built-in policy has nothing against."""
    save_file({"a.weight": torch.diag(torch.tensor([3.0, 1.0])), "a.bias": torch.ones(2)}, path)
    return path


def broken(path, name="fc.weight"):
    """A weight that is not a number, which the built-in policy does not let pass."""
    save_file({name: torch.full((2, 2), torch.nan)}, path)
    return path


def policy(path, text):
    path.write_text(text, encoding="utf-8")
    return path
