"""What else a file holds stays: sections, prefixes, optimizers, shards."""

from __future__ import annotations

import json

import pytest
import torch
from initialized_nets import (
    assert_standard,
    batch_of,
    drawn,
    initialized,
    mlp,
    read,
    saved,
    sha256,
    under,
)
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from normcli.commands.initialize_checkpoint import initialize_checkpoint
from normcli.errors import CheckpointError, RefusedError, UsageError

torch.set_num_threads(1)

BATCH = batch_of("mlp")


def _trained(form="plain", seed=1):
    """A network and the optimizer that made one step with it."""
    net = drawn("mlp", form, seed=seed)
    optimizer = torch.optim.Adam(net.parameters())
    net(BATCH).square().mean().backward()
    optimizer.step()
    return net.eval(), optimizer


def _assert_loads(state, form="plain", build=mlp):
    """Into a network of torch, with layers that give mean 0 and deviation 1."""
    net = under(build(), form)
    net.load_state_dict(state, strict=True)
    assert_standard(net, BATCH)
    return net


def _assert_same(found, expected):
    """Equal, tensors bit for bit, with the same types."""
    assert type(found) is type(expected)
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            _assert_same(found[key], value)
    elif isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            _assert_same(one, other)
    else:
        assert found == expected


@pytest.mark.parametrize("form", ["plain", "legacy", "parametrized"])
def test_an_optimizer_and_an_epoch_stay_where_the_keys_stay(form, tmp_path):
    net, optimizer = _trained(form)
    content = {"model": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    told, after = initialized(tmp_path, content, drawn("mlp", form, seed=3), BATCH)
    assert list(after) == list(content)
    _assert_same(after["optimizer"], content["optimizer"])
    assert after["epoch"] == 3
    assert [step.name for step in told.steps] == [f"model/{path}.weight" for path in (0, 2, 4)]
    resumed = _assert_loads(after["model"], form)
    again = torch.optim.Adam(resumed.parameters())
    again.load_state_dict(after["optimizer"])
    resumed(BATCH).square().mean().backward()
    again.step()


def test_an_optimizer_that_would_not_fit_is_refused_or_dropped(tmp_path):
    net, optimizer = _trained()
    content = {"model": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    model, options = drawn("mlp", "plain", seed=3), {"layout": "legacy"}
    with pytest.raises(RefusedError) as caught:
        initialized(tmp_path, content, model, BATCH, **options)
    assert "holds an optimizer state" in str(caught.value)
    assert caught.value.hint == "--drop-optimizer leaves it out"
    assert not (tmp_path / "out.pt").exists()
    told, after = initialized(tmp_path, content, model, BATCH, drop_optimizer=True, **options)
    assert list(after) == ["model", "epoch"]
    assert {each.name for each in told.dropped} == {"optimizer/…"}
    _assert_loads(after["model"], "legacy")


def test_an_optimizer_fits_where_one_weight_norm_becomes_the_other(tmp_path):
    net, optimizer = _trained("legacy")
    content = {"model": net.state_dict(), "optimizer": optimizer.state_dict()}
    _, after = initialized(
        tmp_path, content, drawn("mlp", "legacy", seed=3), BATCH, layout="parametrized"
    )
    _assert_same(after["optimizer"], content["optimizer"])
    _assert_loads(after["model"], "parametrized")


def _gan(seed=1):
    torch.manual_seed(seed)
    critic = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    return {"G": mlp().state_dict(), "D": critic.state_dict(), "step": 7}


@pytest.mark.parametrize("section", ["G", None])
def test_the_other_section_is_not_touched(section, tmp_path):
    content = _gan()
    told, after = initialized(tmp_path, content, mlp(), BATCH, section=section)
    _assert_same(after["D"], content["D"])
    assert after["step"] == 7
    assert {step.name for step in told.steps} == {f"G/{path}.weight" for path in (0, 2, 4)}
    assert told.left == ()
    _assert_loads(after["G"])


def test_the_section_is_asked_for_where_two_can_be_meant(tmp_path):
    content = {"G": mlp().state_dict(), "G_ema": mlp().state_dict()}
    with pytest.raises(UsageError) as caught:
        initialized(tmp_path, content, mlp(), BATCH)
    found = "2 sections hold all that the model has: 'G', 'G_ema'"
    assert str(caught.value) == f"{tmp_path}/in.pt: {found}"
    assert caught.value.hint == "say which is the model's: --section G"
    _, after = initialized(tmp_path, content, mlp(), BATCH, section="G_ema")
    _assert_same(after["G"], content["G"])
    _assert_loads(after["G_ema"])


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("form", ["plain", "legacy", "parametrized"])
def test_keys_of_a_data_parallel_model_keep_their_prefix(form, suffix, tmp_path):
    state = nn.DataParallel(drawn("mlp", form)).state_dict()
    told, after = initialized(
        tmp_path, state, drawn("mlp", form, seed=3), BATCH, suffix=suffix, prefix="module."
    )
    assert set(after) == set(state)
    assert {step.name for step in told.steps} == {f"module.{path}.weight" for path in (0, 2, 4)}
    _assert_loads({key.removeprefix("module."): tensor for key, tensor in after.items()}, form)


def test_a_data_parallel_model_needs_no_prefix(tmp_path):
    state = nn.DataParallel(drawn("mlp", "plain")).state_dict()
    _, after = initialized(tmp_path, state, nn.DataParallel(drawn("mlp", "plain", seed=3)), BATCH)
    _assert_loads({key.removeprefix("module."): tensor for key, tensor in after.items()})


def test_a_prefix_that_is_missing_is_said(tmp_path):
    state = nn.DataParallel(mlp()).state_dict()
    with pytest.raises(CheckpointError) as caught:
        initialized(tmp_path, state, mlp(), BATCH)
    assert caught.value.hint == "its keys begin with 'module.': --prefix module."


def test_a_checkpoint_of_lightning_stays_one(tmp_path):
    net, optimizer = _trained("legacy")
    content = {
        "epoch": 3,
        "global_step": 120,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {f"net.{key}": tensor for key, tensor in net.state_dict().items()},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 3}}}},
        "callbacks": {},
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"width": 9, "rates": [0.1, 0.2]},
    }
    told, after = initialized(
        tmp_path, content, drawn("mlp", "legacy", seed=3), BATCH, prefix="net"
    )
    state = after.pop("state_dict")
    before = content.pop("state_dict")
    _assert_same(after, content)
    assert list(state) == list(before)
    assert {step.name for step in told.steps} == {
        f"state_dict/net.{path}.weight" for path in (0, 2, 4)
    }
    _assert_loads({key.removeprefix("net."): tensor for key, tensor in state.items()}, "legacy")


INDEX = "model.safetensors.index.json"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def _sharded(folder, state):
    """As transformers writes it: g of a weight in one shard, v in the other."""
    folder.mkdir()
    homes = {key: SHARDS[number % 2] for number, key in enumerate(state)}
    for name in SHARDS:
        tensors = {key: state[key].contiguous() for key in state if homes[key] == name}
        save_file(tensors, folder / name, metadata={"format": "pt"})
    nbytes = sum(tensor.nbytes for tensor in state.values())
    index = {"metadata": {"total_size": nbytes}, "weight_map": homes}
    (folder / INDEX).write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize("form", ["plain", "legacy", "parametrized"])
def test_shards_stay_shards(form, tmp_path):
    source = _sharded(tmp_path / "in", drawn("mlp", form).state_dict())
    save_file({"input": BATCH}, tmp_path / "batch.safetensors")
    told = initialize_checkpoint(
        source,
        model=drawn("mlp", form, seed=3),
        batch=tmp_path / "batch.safetensors",
        output=tmp_path / "out",
    )
    names = {each.name for each in (tmp_path / "out").iterdir()}
    assert names == {*SHARDS, INDEX} == {each.name for each in told.output_files}
    state = {}
    for name in SHARDS:
        with (
            safe_open(tmp_path / "out" / name, "pt") as after,
            safe_open(source / name, "pt") as was,
        ):
            assert set(after.keys()) == set(was.keys())
            assert after.metadata() == was.metadata()
        state |= load_file(tmp_path / "out" / name)
    index = json.loads((tmp_path / "out" / INDEX).read_text())
    assert index == json.loads((source / INDEX).read_text())
    _assert_loads(state, form)


def test_in_place_replaces_the_file(tmp_path):
    path = saved(drawn("mlp", "legacy").state_dict(), tmp_path / "net.pt")
    before = sha256(path)
    save_file({"input": BATCH}, tmp_path / "batch.safetensors")
    names = sorted(tmp_path.iterdir())
    told = initialize_checkpoint(
        path,
        model=drawn("mlp", "legacy", seed=3),
        batch=tmp_path / "batch.safetensors",
        in_place=True,
    )
    assert told.files[0].sha256 == before
    assert told.output_files[0].sha256 == sha256(path) != before
    assert sorted(tmp_path.iterdir()) == names
    _assert_loads(read(path), "legacy")


def test_without_an_output_it_is_named_beside_the_input(tmp_path):
    path = saved(mlp().state_dict(), tmp_path / "net.pt")
    save_file({"input": BATCH}, tmp_path / "batch.safetensors")
    told = initialize_checkpoint(path, model=mlp(), batch=tmp_path / "batch.safetensors")
    assert told.output == str(tmp_path / "net.initialized.pt")
    _assert_loads(read(tmp_path / "net.initialized.pt"))
