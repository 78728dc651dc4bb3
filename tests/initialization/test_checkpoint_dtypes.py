"""What is stored in another precision than the model computes in, and that two runs are equal."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from initialized_nets import (
    NETS,
    assert_standard,
    batch_of,
    drawn,
    initialized,
    outputs,
    sha256,
    under,
)
from torch import nn

torch.set_num_threads(1)

HALVES = (torch.float16, torch.bfloat16)
FORMS = ("plain", "legacy", "parametrized")
LAYOUTS = (None, "legacy", "parametrized", "plain")


def _cast(state, dtype):
    """Floating tensors in another dtype, with the metadata of the modules."""
    found = type(state)(
        (key, tensor.to(dtype) if tensor.is_floating_point() else tensor)
        for key, tensor in state.items()
    )
    found._metadata = state._metadata
    return found


def _spreads(net, batch):
    """Path → (lowest mean, highest mean, lowest deviation, highest deviation)."""
    found = {}
    for path, rows in outputs(net, batch)[0].items():
        mean, std = rows.mean(1), rows.std(1, unbiased=False)
        found[path] = [each.item() for each in (mean.min(), mean.max(), std.min(), std.max())]
    return found


def _recorded(moments):
    mean, std = moments.mean, moments.std
    return [mean.lowest, mean.highest, std.lowest, std.highest]


def _assert_told(told, net, state, batch, when):
    """The numbers of the receipt are those of the network that holds the state."""
    net.load_state_dict(state, strict=True)
    for path, expected in _spreads(net, batch).items():
        layer = told.changes[f"{path}.weight"].layer
        assert _recorded(getattr(layer, when)) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(("name", "form"), list(product(NETS, FORMS)))
def test_half_precision_stays_and_the_receipt_tells_of_what_is_written(
    name, form, dtype, suffix, tmp_path
):
    before, batch = _cast(drawn(name, form).state_dict(), dtype), batch_of(name)
    for layout in LAYOUTS:
        told, after = initialized(
            tmp_path,
            before,
            drawn(name, layout or form, seed=3),
            batch,
            suffix=suffix,
            output=f"out-{layout}",
            layout=layout,
        )
        assert {each.dtype for each in after.values()} <= {dtype, torch.int64}
        net = under(NETS[name][0](), layout or form)
        _assert_told(told, net, after, batch, "after")
        for path, (low, high, narrow, wide) in _spreads(net, batch).items():
            bias = after[f"{path}.bias"].abs().max().item()  # what is rounded is as large
            room = 2 * torch.finfo(dtype).eps * max(1, bias)
            assert max(-low, high, 1 - narrow, wide - 1) <= room


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_receipt_tells_of_the_checkpoint_as_it_was(dtype, tmp_path):
    before, batch = _cast(drawn("convnet", "legacy").state_dict(), dtype), batch_of("convnet")
    told, _ = initialized(tmp_path, before, drawn("convnet", "legacy", seed=3), batch)
    _assert_told(told, under(NETS["convnet"][0](), "legacy"), before, batch, "before")


@pytest.mark.parametrize(("name", "form"), list(product(NETS, FORMS)))
def test_double_precision_stays_though_the_model_computes_in_single(name, form, tmp_path):
    before, batch = _cast(drawn(name, form).state_dict(), torch.float64), batch_of(name)
    told, after = initialized(tmp_path, before, drawn(name, form, seed=3), batch)
    assert {each.dtype for each in after.values()} <= {torch.float64, torch.int64}
    net = under(NETS[name][0](), form)
    net.load_state_dict(after, strict=True)
    assert_standard(net, batch)
    _assert_told(told, net, after, batch, "after")
    assert "weights are float64, run as float32" in told.notes


def test_double_precision_is_exact_where_the_model_computes_in_it(tmp_path):
    before, batch = _cast(drawn("mlp", "legacy").state_dict(), torch.float64), batch_of("mlp")
    model = drawn("mlp", "legacy", seed=3).double()
    _, after = initialized(tmp_path, before, model, batch.double())
    net = under(NETS["mlp"][0](), "legacy").double()
    net.load_state_dict(after, strict=True)
    for spread in _spreads(net, batch.double()).values():
        assert spread == pytest.approx([0, 0, 1, 1], abs=1e-13)


def test_a_model_in_half_precision_is_initialized_as_well_as_it_computes(tmp_path):
    before, batch = drawn("mlp", "plain").state_dict(), batch_of("mlp")
    model = drawn("mlp", "plain", seed=3).bfloat16()
    told, after = initialized(tmp_path, before, model, batch)
    assert {each.dtype for each in after.values()} == {torch.float32}
    assert "'input' is float32, run as bfloat16" in told.notes
    net = NETS["mlp"][0]().bfloat16()
    net.load_state_dict(after, strict=True)
    for spread in _spreads(net, batch.bfloat16()).values():
        assert spread == pytest.approx([0, 0, 1, 1], abs=4e-2)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("form", FORMS)
def test_two_runs_write_the_same_bytes(form, suffix, tmp_path):
    hashes = set()
    for run in (1, 2):
        told, _ = initialized(
            tmp_path,
            drawn("residual", form).state_dict(),
            drawn("residual", form, seed=run),
            batch_of("residual"),
            suffix=suffix,
            output=f"out{run}",
        )
        hashes.add(sha256(tmp_path / f"out{run}{suffix}"))
        assert told.output_files[0].sha256 in hashes
    assert len(hashes) == 1


class Noisy(nn.Module):
    """Draws numbers in its forward."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 5), nn.Linear(5, 4)

    def forward(self, x):
        x = self.first(x + 0.1 * torch.randn_like(x))
        return self.second(torch.dropout(x, 0.5, train=True))


def test_the_seed_alone_decides_what_a_model_draws(tmp_path):
    torch.manual_seed(1)
    state, batch = Noisy().state_dict(), torch.randn(64, 6)
    found = []
    for run, seed in enumerate((7, 7, 8)):
        torch.manual_seed(run)
        told, after = initialized(tmp_path, state, Noisy(), batch, seed=seed, output=f"out{run}")
        assert torch.equal(torch.randn(3), _drawn_after(run))
        assert told.options["seed"] == seed
        found.append((after, sha256(tmp_path / f"out{run}.pt")))
    assert found[0][1] == found[1][1] != found[2][1]
    net = Noisy()
    net.load_state_dict(found[0][0])
    torch.default_generator.manual_seed(7)
    assert_standard(net, batch)


def _drawn_after(seed):
    """What a model and then the caller draw from the seed."""
    torch.manual_seed(seed)
    Noisy()
    return torch.randn(3)
