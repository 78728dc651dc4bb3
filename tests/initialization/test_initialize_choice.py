"""Which weights are initialized: all, those asked for, and with strict all of them or none."""

from __future__ import annotations

import pytest
import torch
from initialize_models import WRAPS, assert_same_bits, assert_standard, copied, drawn, outputs
from torch import nn

import normcli
from normcli.errors import UsageError

torch.set_num_threads(1)


@pytest.mark.parametrize("pattern", ["0.*", "0.weight", "*0.weight"])
@pytest.mark.parametrize("layout", [None, *WRAPS])
def test_only_what_is_included_changes_and_nothing_else_is_told_of(pattern, layout):
    model = three_layers(layout)
    before = copied(model)
    found = normcli.initialize(model, drawn(40, 6), include=[pattern])
    assert [each.name for each in found.layers] == ["0.weight"]
    assert found.left == ()
    after = model.state_dict()
    changed = {key for key in after if not torch.equal(after[key], before[key])}
    assert {key.partition(".")[0] for key in changed} == {"0"}


def test_what_is_excluded_stays_and_the_others_are_initialized_on_its_output():
    model = three_layers(None)
    kept = copied(model[2])
    found = normcli.initialize(model, drawn(40, 6), exclude=["2.*"])
    assert [each.name for each in found.layers] == ["0.weight", "4.weight"]
    assert found.left == ()
    assert_same_bits(model[2], kept)
    seen = outputs(model, drawn(40, 6), ["0", "4"])
    assert_standard(seen["0"])
    assert_standard(seen["4"])


def test_exclude_wins_over_include():
    model = three_layers(None)
    found = normcli.initialize(model, drawn(40, 6), include=["*"], exclude=["0.*", "4.weight"])
    assert [each.name for each in found.layers] == ["2.weight"]


@pytest.mark.parametrize("pattern", ["fc.*", "0.bias", "WEIGHT"])
def test_a_pattern_that_matches_no_weight_is_an_error(pattern):
    model = three_layers(None)
    before = copied(model)
    with pytest.raises(UsageError, match="matches none of 3 weights"):
        normcli.initialize(model, drawn(40, 6), include=["0.*", pattern])
    assert_same_bits(model, before)


def test_where_all_is_excluded_there_is_nothing_to_initialize():
    with pytest.raises(UsageError, match="nothing to initialize: no weight was asked for"):
        normcli.initialize(three_layers(None), drawn(40, 6), exclude=["*"])


def test_strict_is_an_error_where_a_weight_is_left_and_changes_nothing():
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4, bias=False))
    before = copied(model)
    with pytest.raises(UsageError) as caught:
        normcli.initialize(model, drawn(40, 6), strict=True)
    assert caught.value.message == (
        "1 of 2 weights cannot be initialized: '2.weight': its layer has no bias"
    )
    assert_same_bits(model, before)
    found = normcli.initialize(model, drawn(40, 6), strict=True, exclude=["2.*"])
    assert [each.name for each in found.layers] == ["0.weight"]


def test_strict_is_content_where_every_weight_is_initialized():
    assert len(normcli.initialize(three_layers(None), drawn(40, 6), strict=True).layers) == 3


def test_of_many_weights_that_are_left_three_are_told_of():
    model = nn.Sequential(*(nn.Linear(6, 6, bias=False) for _ in range(5)))
    with pytest.raises(UsageError) as caught:
        normcli.initialize(model, drawn(40, 6))
    told = "; ".join(f"'{i}.weight': its layer has no bias" for i in range(3))
    assert caught.value.message == f"nothing to initialize: {told}; and 2 more"


def test_a_lazy_model_that_has_not_run_is_an_error():
    model = nn.Sequential(nn.LazyLinear(4))
    with pytest.raises(UsageError, match=r"'0\.weight' has no shape yet"):
        normcli.initialize(model, drawn(40, 6))


def three_layers(layout):
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 4))
    if layout:
        for i in (0, 2, 4):
            WRAPS[layout](model[i])
    return model
