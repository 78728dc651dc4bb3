"""Removal warns where the stored u and v are far from the top singular pair."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm

import normcli


def _notes(module, tmp_path):
    torch.save(module.state_dict(), tmp_path / "x.pt")
    done = normcli.remove(tmp_path / "x.pt", dims={"*": 0}, output=tmp_path / "y.pt")
    return done.changes["weight"].notes


def test_a_hook_that_never_ran_has_vectors_that_are_stale(tmp_path):
    torch.manual_seed(0)
    notes = _notes(spectral_norm(nn.Linear(40, 30)), tmp_path)
    assert any(note.startswith("stale u and v") for note in notes)


def test_vectors_of_an_average_are_stale(tmp_path):
    torch.manual_seed(0)
    module = parametrizations.spectral_norm(nn.Linear(40, 30).eval())
    module.parametrizations.weight[0]._u.mul_(0.5)
    assert any(note.startswith("stale u and v") for note in _notes(module, tmp_path))


@pytest.mark.parametrize("put_on", [spectral_norm, parametrizations.spectral_norm])
def test_vectors_that_were_trained_are_not(put_on, tmp_path):
    torch.manual_seed(0)
    module = put_on(nn.Linear(40, 30))
    for _ in range(50):
        module(torch.randn(1, 40))
    assert _notes(module, tmp_path) == ()
