"""Models and layers that torch.compile has wrapped are initialized as those that it has not."""

from __future__ import annotations

import pytest
import torch
from initialize_models import LAYOUTS, NETS, assert_standard, by_unit, drawn
from torch import nn

import normcli

torch.set_num_threads(1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("used_before", [False, True])
def test_a_compiled_model_is_initialized(layout, used_before):
    net = NETS["convnet"]
    plain, model = net.build(layout), net.build(layout)
    compiled = torch.compile(model, backend="eager")
    if used_before:
        compiled(net.batch())
    found = normcli.initialize(compiled, net.batch())
    normcli.initialize(plain, net.batch())
    assert [each.name for each in found.layers] == [f"_orig_mod.{i}.weight" for i in net.layers]
    for mine, other in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, other)
    with torch.no_grad():
        torch.testing.assert_close(compiled(net.batch()), plain.eval()(net.batch()))
    torch.compiler.reset()


def test_a_compiled_layer_inside_a_model_is_initialized():
    torch.manual_seed(6)
    model = nn.Sequential(torch.compile(nn.Linear(6, 5), backend="eager"), nn.ReLU())
    model(drawn(40, 6))
    found = normcli.initialize(model, drawn(40, 6))
    assert [each.name for each in found.layers] == ["0._orig_mod.weight"]
    with torch.no_grad():
        assert_standard(by_unit(model[0]._orig_mod, model[0](drawn(40, 6))))
    torch.compiler.reset()
