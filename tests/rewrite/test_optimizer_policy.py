"""An optimizer's state is kept only where its indices stay valid."""

from __future__ import annotations

import pytest
import torch
from rewrite_headers import header, opened, planned
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from normcli.errors import RefusedError
from normcli.records import Skipped
from normcli.rewrite.optimizer import check_optimizer

STATE = Skipped("optimizer/…", "optimizer state")


def _header(model):
    return header(*((key, tuple(value.shape)) for key, value in model.state_dict().items()))


def _refuses(tensors, verb, **options):
    plan = planned(verb, tensors, **options)
    assert plan.steps
    try:
        check_optimizer(opened(tensors, skipped=(STATE,)), plan.steps, dropped=False)
    except RefusedError:
        return True
    return False


@pytest.mark.parametrize("put_on", [spectral_norm, weight_norm])
def test_respelling_modules_without_children_keeps_it(put_on):
    model = nn.Sequential(put_on(nn.Linear(4, 3)), nn.ReLU(), put_on(nn.Conv1d(2, 3, 1)))
    assert not _refuses(_header(model), "convert", layout="parametrized")


@pytest.mark.parametrize("put_on", [parametrizations.spectral_norm, parametrizations.weight_norm])
def test_respelling_a_module_with_children_refuses(put_on):
    model = nn.ModuleDict({"m": put_on(nn.MultiheadAttention(6, 2), "in_proj_weight")})
    before = [tuple(p.shape) for p in model.parameters()]
    hook = spectral_norm if put_on is parametrizations.spectral_norm else weight_norm
    other = nn.ModuleDict({"m": hook(nn.MultiheadAttention(6, 2), "in_proj_weight")})
    assert before != [tuple(p.shape) for p in other.parameters()]  # torch's order does change
    assert _refuses(_header(model), "convert", layout="legacy")


@pytest.mark.parametrize("norm", ["spectral", "weight"])
def test_applying_and_removing_refuse(norm):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(4, 3))
    normed = nn.Sequential((spectral_norm if norm == "spectral" else weight_norm)(nn.Linear(4, 3)))
    assert _refuses(_header(plain), "apply", norm=norm)
    assert _refuses(_header(normed), "remove")


def test_the_refusal_says_how_to_go_on():
    tensors = _header(nn.Sequential(nn.Linear(4, 3)))
    with pytest.raises(RefusedError) as error:
        check_optimizer(
            opened(tensors, skipped=(STATE,)), planned("apply", tensors).steps, dropped=False
        )
    assert "--drop-optimizer" in error.value.hint


def test_refreshing_and_baking_keep_it():
    assert not _refuses(_header(nn.Sequential(spectral_norm(nn.Linear(4, 3)))), "refresh")
    assert not _refuses(_header(nn.Sequential(nn.Linear(4, 3))), "apply", layout="plain")


def test_without_an_optimizer_state_or_when_it_is_dropped_nothing_is_refused():
    tensors = _header(nn.Sequential(nn.Linear(4, 3)))
    steps = planned("apply", tensors).steps
    check_optimizer(opened(tensors), steps, dropped=False)
    check_optimizer(opened(tensors, skipped=(STATE,)), steps, dropped=True)
