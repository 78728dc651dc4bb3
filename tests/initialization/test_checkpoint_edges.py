"""What few checkpoints have: g of one number, two dtypes, gains below zero, a file of old torch."""

from __future__ import annotations

import pytest
import torch
from initialized_nets import (
    NETS,
    assert_standard,
    batch_of,
    drawn,
    initialized,
    layers,
    mlp,
    read,
    saved,
    under,
)
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from normcli.commands.initialize_checkpoint import initialize_checkpoint
from normcli.errors import UsageError

torch.set_num_threads(1)

BATCH = batch_of("mlp")
NORMED = ("legacy", "parametrized")


def _loaded(state, form, dim=0):
    net = under(mlp(), form, dim)
    net.load_state_dict(state, strict=True)
    return net


@pytest.mark.parametrize("layout", [None, "legacy"])
def test_one_number_g_with_an_axis_keeps_it(layout, tmp_path):
    """As torch before 0.4 wrote it; torch still loads it."""
    state = drawn("mlp", "legacy", None).state_dict()
    old = {key: each.reshape(1) if not each.ndim else each for key, each in state.items()}
    _, after = initialized(
        tmp_path, old, drawn("mlp", "legacy", None, seed=3), BATCH, layout=layout
    )
    if layout is None:
        assert {key: each.shape for key, each in after.items()} == {
            key: each.shape for key, each in old.items()
        }
    assert_standard(_loaded(after, "legacy", None), BATCH)


@pytest.mark.parametrize("half", ["weight_g", "weight_v", "bias"])
@pytest.mark.parametrize("layout", [None, "parametrized"])
def test_every_part_keeps_its_own_dtype(layout, half, tmp_path):
    state = drawn("mlp", "legacy").state_dict()
    state.update({key: each.half() for key, each in state.items() if key.endswith(half)})
    _, after = initialized(tmp_path, state, drawn("mlp", "legacy", seed=3), BATCH, layout=layout)
    dtypes = sorted(str(each.dtype) for each in after.values())
    assert dtypes == sorted(str(each.dtype) for each in state.values())
    net = _loaded(after, layout or "legacy")
    if half == "weight_v":  # is not touched
        assert_standard(net, BATCH)


@pytest.mark.parametrize("form", NORMED)
def test_gains_below_zero_stay_below_zero(form, tmp_path):
    state = drawn("mlp", form).state_dict()
    for key, each in state.items():
        if key.endswith(("weight_g", "original0")):
            each[::2] *= -1
    _, after = initialized(tmp_path, state, drawn("mlp", form, seed=3), BATCH)
    for key, each in state.items():
        if key.endswith(("weight_g", "original0")):
            assert torch.equal(after[key].sign(), each.sign())
    assert_standard(_loaded(after, form), BATCH)


@pytest.mark.parametrize("form", NORMED)
def test_a_gain_of_zero_leaves_its_layer(form, tmp_path):
    state = drawn("mlp", form).state_dict()
    gain = next(each for key, each in state.items() if key.endswith(("0.weight_g", "original0")))
    gain[2] = 0
    told, _ = initialized(tmp_path, state, drawn("mlp", form, seed=3), BATCH)
    left = [(each.name, each.reason) for each in told.left]
    assert left == [("0.weight", "1 of 9 units do not vary over the batch")]


def test_what_would_overflow_is_left(tmp_path):
    state = {key: each.half() for key, each in mlp().state_dict().items()}
    with pytest.raises(UsageError) as caught:
        initialized(tmp_path, state, mlp(), BATCH * 1e-6, include=["0*"])
    reason = "scaled it would hold NaN or infinite entries in float16"
    assert str(caught.value) == f"{tmp_path}/in.pt: nothing to initialize: '0.weight': {reason}"
    assert not (tmp_path / "out.pt").exists()


def test_a_weight_of_eight_bits_is_left(tmp_path):
    state = mlp().state_dict()
    state["0.weight"] = state["0.weight"].to(torch.float8_e4m3fn)
    told, after = initialized(tmp_path, state, mlp(), BATCH)
    assert [each.name for each in told.left] == ["0.weight"]
    assert torch.equal(after["0.weight"].view(torch.uint8), state["0.weight"].view(torch.uint8))
    net = mlp()
    net.load_state_dict(after)
    assert_standard(net, BATCH, ["2", "4"])


def test_a_file_of_old_torch_becomes_one_of_today(tmp_path):
    path = tmp_path / "in.pt"
    torch.save(mlp().state_dict(), path, _use_new_zipfile_serialization=False)
    save_file({"input": BATCH}, tmp_path / "x.safetensors")
    told = initialize_checkpoint(
        path, model=mlp(), batch=tmp_path / "x.safetensors", output=tmp_path / "out.pt"
    )
    assert (told.format, told.output_format) == ("torch-legacy", "torch-zip")
    assert_standard(_loaded(read(tmp_path / "out.pt"), "plain"), BATCH)


@pytest.mark.parametrize("output", ["out.pt", "out.safetensors"])
def test_the_suffix_of_the_output_is_its_format(output, tmp_path):
    other = {"out.pt": ".safetensors", "out.safetensors": ".pt"}[output]
    path = saved(drawn("mlp", "legacy").state_dict(), tmp_path / f"in{other}")
    save_file({"input": BATCH}, tmp_path / "x.safetensors")
    initialize_checkpoint(
        path,
        model=drawn("mlp", "legacy", seed=3),
        batch=tmp_path / "x.safetensors",
        output=tmp_path / output,
    )
    assert_standard(_loaded(read(tmp_path / output), "legacy"), BATCH)


def test_strings_of_a_safetensors_file_stay(tmp_path):
    path, strings = tmp_path / "in.safetensors", {"format": "pt", "license": "mit"}
    save_file(mlp().state_dict(), path, metadata=strings)
    save_file({"input": BATCH}, tmp_path / "x.safetensors")
    output = tmp_path / "out.safetensors"
    initialize_checkpoint(path, model=mlp(), batch=tmp_path / "x.safetensors", output=output)
    with safe_open(output, "pt") as file:
        assert file.metadata() == strings


@pytest.mark.parametrize("form", NORMED)
def test_metadata_is_that_of_the_wrapped_modules(form, tmp_path):
    state = nn.DataParallel(mlp()).state_dict()
    _, after = initialized(tmp_path, state, mlp(), BATCH, layout=form, prefix="module")
    expected = nn.DataParallel(under(mlp(), form)).state_dict()
    assert dict(after._metadata) == dict(expected._metadata)
    assert set(after) == set(expected)


def test_statistics_stay_though_the_model_runs_in_training_mode(tmp_path):
    before, batch = drawn("convnet", "legacy").state_dict(), batch_of("convnet")
    told, after = initialized(
        tmp_path, before, drawn("convnet", "legacy", seed=3), batch, training=True
    )
    for key in before:
        if key.startswith("1."):
            assert torch.equal(after[key], before[key])
    net = under(NETS["convnet"][0](), "legacy")
    net.load_state_dict(after, strict=True)
    assert_standard(net.train(), batch)
    assert told.left == ()


def test_memory_formats_do_not_matter(tmp_path):
    net, batch = drawn("convnet", "plain"), batch_of("convnet")
    _, after = initialized(tmp_path, net.state_dict(), drawn("convnet", "plain", seed=3), batch)
    wide = net.to(memory_format=torch.channels_last)
    _, other = initialized(
        tmp_path, wide.state_dict(), drawn("convnet", "plain", seed=3), batch, output="other"
    )
    for key, each in after.items():
        assert torch.equal(other[key], each)


def test_every_weight_is_reported_as_it_is_done(tmp_path):
    seen = []
    initialized(
        tmp_path, mlp().state_dict(), mlp(), BATCH, observe=lambda name, _: seen.append(name)
    )
    assert set(seen) >= {f"{path}.weight" for path in layers(mlp())}
