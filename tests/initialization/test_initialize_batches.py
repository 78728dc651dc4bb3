"""A batch may be given in several ways, and is as it was afterwards."""

from __future__ import annotations

import pytest
import torch
from initialize_models import assert_standard, by_unit, drawn
from torch import nn

import normcli
from normcli.errors import UsageError

torch.set_num_threads(1)


class Several(nn.Module):
    """Has arguments of several kinds, and works in place on each."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(6, 5), nn.Linear(4, 5)

    def forward(self, x, others=None, *, scale=1.0):
        flow = self.one(x.mul_(scale))
        for other in others["parts"] if others else ():
            flow = flow + self.other(other[0].add_(1))
        return flow


@pytest.mark.parametrize(
    "batch",
    [
        drawn(40, 6),
        (drawn(40, 6),),
        [drawn(40, 6)],
        {"x": drawn(40, 6)},
        {"input": drawn(40, 6)},
        {"x": drawn(40, 6), "scale": 3.0},
        (drawn(40, 6), {"parts": [(drawn(40, 4),)]}),
        {"x": drawn(40, 6), "others": {"parts": ((drawn(40, 4),),)}},
    ],
    ids=["tensor", "tuple", "list", "name", "input", "two names", "nested", "nested by name"],
)
def test_a_batch_may_be_given_in_several_ways_and_stays_as_it_was(batch):
    before = list(tensors(batch))
    values = [each.clone() for each in before]
    torch.manual_seed(6)
    model = Several()
    found = normcli.initialize(model, batch)
    assert len(found.layers) == len(values)
    assert all(map(torch.equal, before, values))
    scale = batch.get("scale", 1.0) if isinstance(batch, dict) else 1.0
    assert_standard(by_unit(model.one, model.one(values[0] * scale)))
    if len(values) == 2:
        assert_standard(by_unit(model.other, model.other(values[1] + 1)))


def tensors(value):
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from tensors(each)


@pytest.mark.parametrize("batch", [3.0, "text", None, {6}])
def test_what_is_no_batch_is_an_error(batch):
    with pytest.raises(UsageError, match="expected a tensor, a tuple, a list or a mapping"):
        normcli.initialize(nn.Linear(6, 5), batch)


def test_names_that_forward_does_not_have_are_an_error():
    with pytest.raises(UsageError, match="batch"):
        normcli.initialize(nn.Linear(6, 5), {"image": drawn(40, 6)})
