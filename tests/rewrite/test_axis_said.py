"""A weight norm whose g fits several axes of size 1 is removed on the axis that is said."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import remove_parametrizations

import normcli


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_each_axis_has_the_rounding_of_torch(axis, dtype, tmp_path):
    torch.manual_seed(0)
    for _ in range(20):  # most weights are rounded alike on both
        module = nn.Module()
        module.weight = nn.Parameter(torch.randn(1, 1, 3).to(dtype))
        parametrizations.weight_norm(module, "weight", axis)
        torch.save(module.state_dict(), tmp_path / "x.pt")
        normcli.remove(
            tmp_path / "x.pt", dims={"*": axis}, output=tmp_path / "y.pt", force=True, sha256=False
        )
        found = torch.load(tmp_path / "y.pt", weights_only=True)["weight"]
        remove_parametrizations(module, "weight")
        assert torch.equal(found, module.weight)
