"""Every way from one spelling to another, in every container, judged by torch's own modules."""

from __future__ import annotations

from functools import partial

import foreign
import pytest
import torch
import written
from torch import nn
from written import CONTAINERS, STALLS

import normcli

NORMED = [(family, target) for family in ("spectral", "weight") for target in written.TARGETS]
PLAIN, BAR = ("", "plain"), ("spectral", "weight_bar")
WAYS = [
    *((PLAIN, after) for after in NORMED),
    *((before, PLAIN) for before in (*NORMED, BAR)),
    *((before, after) for before in NORMED for after in NORMED if before != after
      and before[0] == after[0]),
    *((BAR, after) for after in NORMED if after[0] == "spectral"),
]  # fmt: skip


def _label(spelling):
    return " ".join(spelling).strip()


def _stalls(before, after):
    """Modules that both spellings can hold."""
    family = before[0] or after[0]
    stalls = [each for each in STALLS[family] if family == "spectral" or each.axis == 0]
    if BAR in (before, after):  # rows are axis 0, and the weight goes by no other name
        stalls = [each for each in stalls if not each.axis and each.kind.weight == "weight"]
    return stalls


def _module(stall, spelling, *, wrapped, salt=""):
    family, target = spelling
    if spelling == BAR:
        module = foreign.WeightBar(stall.make("float32", salt))
        with torch.no_grad():
            for _ in range(9):
                module.effective()
        return module
    make = stall.trained if target != "plain" and not salt else stall.normed
    module = make(family, target, "float32", salt)
    return nn.ModuleDict({"module": module}) if wrapped else module


def _effective(module, stall):
    """What torch, or the foreign module itself, computes with."""
    if isinstance(module, foreign.WeightBar):
        with torch.no_grad():
            return module.effective()
    inner = module["module"] if isinstance(module, nn.ModuleDict) else module
    return written.taken_off(inner, stall)


def _verb(before, after, stalls):
    if before == PLAIN:
        family, target = after
        keys = [each.key for each in stalls]
        dims = written.row_axes(family) if family == "spectral" else {}
        return partial(normcli.apply, norm=family, layout=target, include=keys, dims=dims)
    dims = written.row_axes("spectral") if before[0] == "spectral" and before != BAR else {}
    if after == PLAIN:
        return partial(normcli.remove, dims=dims)
    return partial(normcli.convert, layout=after[1])


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(("before", "after"), WAYS, ids=_label)
def test_the_way_leads_to_the_weights_that_torch_computes_with(before, after, container, tmp_path):
    stalls, wrapped = _stalls(before, after), BAR in (before, after)
    source = nn.ModuleDict({s.name: _module(s, before, wrapped=wrapped) for s in stalls})
    path = written.save(source.state_dict(), tmp_path / f"x{CONTAINERS[container]}")
    output = tmp_path / f"y{CONTAINERS[container]}"
    done = _verb(before, after, stalls)(path, output=output)
    assert len(done.steps) == len(stalls)
    target = nn.ModuleDict(
        {s.name: _module(s, after, wrapped=wrapped, salt="fresh") for s in stalls}
    )
    written.loaded(target, written.load(output))
    for stall in stalls:
        found = _effective(target[stall.name], stall)
        if before == PLAIN:
            _assert_put_on(found, stall, after)
            continue
        expected = _effective(source[stall.name], stall)
        # the wrapper normalizes with ε added, torch with ε as the least
        room = {"rtol": 1e-5, "atol": 1e-6} if before == BAR else {"rtol": 0, "atol": 0}
        torch.testing.assert_close(found, expected, **room)


def _assert_put_on(found, stall, after):
    """Weight norm is torch's own to the last bit; spectral norm divides by the exact σ₁."""
    if after[0] == "weight":
        theirs = stall.normed(*after, "float32")
        assert torch.equal(found, written.taken_off(theirs, stall))
    else:
        weight = getattr(stall.make("float32"), stall.kind.weight).detach()
        expected = weight / written.singular_value(weight, stall.axis)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


def test_there_are_fifteen_ways():
    assert len(WAYS) == len(set(WAYS)) == 15


def _menagerie():
    torch.manual_seed(1)
    state = {}
    for dtype in written.DTYPES:
        model = written.menagerie("spectral", "legacy", dtype)
        state |= {f"{dtype}.{key}": tensor for key, tensor in model.state_dict().items()}
    return state | {
        "counts": torch.arange(7), "flags": torch.tensor([True, False]), "step": torch.tensor(3),
        "nothing": torch.zeros(0, 4), "small": torch.randn(3, 2).to(torch.float8_e4m3fn),
    }  # fmt: skip


@pytest.mark.parametrize("after", CONTAINERS)
@pytest.mark.parametrize("before", CONTAINERS)
def test_a_container_changes_and_no_bit_of_the_tensors_does(before, after, tmp_path):
    state = _menagerie()
    path = written.save(state, tmp_path / f"x{CONTAINERS[before]}")
    output = tmp_path / f"y{CONTAINERS[after]}"
    size = 10_000 if after == "shards" else None
    normcli.convert(path, output=output, max_shard_size=size)
    found = written.load(output)
    assert set(found) == set(state)
    for key, tensor in state.items():
        assert found[key].dtype == tensor.dtype
        assert found[key].shape == tensor.shape
        assert torch.equal(found[key].double(), tensor.double())
    if after == "shards":
        shards = written.shards(output).values()
        sizes = [sum(tensor.nbytes for tensor in shard.values()) for shard in shards]
        assert len(sizes) > 1
        assert max(sizes) <= max(size, *(tensor.nbytes for tensor in state.values()))


def test_what_safetensors_cannot_hold_is_refused_until_it_may_be_dropped(tmp_path):
    before = {"model": nn.Linear(4, 3).state_dict(), "config": {"rate": 16000}, "epoch": 3}
    torch.save(before, tmp_path / "x.pt")
    with pytest.raises(normcli.errors.NormcliError) as caught:
        normcli.convert(tmp_path / "x.pt", output=tmp_path / "y.safetensors")
    assert "--drop-opaque" in caught.value.hint
    done = normcli.convert(tmp_path / "x.pt", output=tmp_path / "y.safetensors", drop_opaque=True)
    assert {"config", "epoch"} <= {each.name.partition("/")[0] for each in done.dropped}
    found = written.load(tmp_path / "y.safetensors")
    assert sorted(tensor.numel() for tensor in found.values()) == [3, 12]
