"""`_metadata` after a respelling, against that of torch's own modules."""

from __future__ import annotations

import pytest
import torch
from rewrite_headers import header, planned
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from normcli.rewrite.metadata import rewritten

PUT_ON = {
    ("spectral", "legacy"): spectral_norm,
    ("spectral", "parametrized"): parametrizations.spectral_norm,
    ("weight", "legacy"): weight_norm,
    ("weight", "parametrized"): parametrizations.weight_norm,
}


def _plain():
    torch.manual_seed(0)
    return nn.ModuleDict({"a": nn.Linear(5, 3), "b": nn.Conv1d(2, 4, 3), "c": nn.BatchNorm1d(4)})


def _normed(family, layout):
    model = _plain()
    for name in ("a", "b"):
        PUT_ON[family, layout](model[name])
    return model


def _state(model):
    state = model.state_dict()
    tensors = header(*((key, tuple(value.shape)) for key, value in state.items()))
    return tensors, {"": dict(state._metadata)}


@pytest.mark.parametrize(("family", "layout"), PUT_ON)
def test_applying_gives_the_metadata_of_the_module_that_torch_made(family, layout):
    tensors, metadata = _state(_plain())
    plan = planned("apply", tensors, metadata, norm=family, layout=layout)
    _, expected = _state(_normed(family, layout))
    assert {**metadata, **rewritten(metadata, plan.steps)} == expected


@pytest.mark.parametrize(("family", "layout"), PUT_ON)
def test_removing_gives_the_metadata_of_the_plain_module(family, layout):
    tensors, metadata = _state(_normed(family, layout))
    plan = planned("remove", tensors, metadata)
    _, expected = _state(_plain())
    assert {**metadata, **rewritten(metadata, plan.steps)} == expected


@pytest.mark.parametrize("family", ["spectral", "weight"])
@pytest.mark.parametrize(("old", "new"), [("legacy", "parametrized"), ("parametrized", "legacy")])
def test_converting_gives_the_metadata_of_the_other_layout(family, old, new):
    tensors, metadata = _state(_normed(family, old))
    plan = planned("convert", tensors, metadata, layout=new)
    _, expected = _state(_normed(family, new))
    assert {**metadata, **rewritten(metadata, plan.steps)} == expected


def test_stacking_adds_the_entry_of_the_new_index():
    model = _normed("weight", "parametrized")
    tensors, metadata = _state(model)
    plan = planned("apply", tensors, metadata, stack=True)
    for name in ("a", "b"):
        parametrizations.spectral_norm(model[name])
    assert {**metadata, **rewritten(metadata, plan.steps)} == _state(model)[1]


def test_a_file_without_metadata_gets_none():
    tensors, _ = _state(_plain())
    assert rewritten({}, planned("apply", tensors).steps) == {}
