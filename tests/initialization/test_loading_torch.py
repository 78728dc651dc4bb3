"""What torch's own loading does beyond keys and shapes: hooks, ties, dtypes, extra state."""

from __future__ import annotations

import pytest
import torch
from checkpoints import assert_same_output, filled, model, output, saved
from safetensors.torch import save_model
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from normcli.errors import CheckpointError, UsageError

torch.set_num_threads(1)


def _refused(net, path, kind=CheckpointError, **options):
    """The message of the one error."""
    with pytest.raises(kind) as caught:
        filled(net, path, **options)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_batch_normalization_of_old_has_no_count(suffix, tmp_path):
    """As torch 0.4.0 and before wrote it, and as it is without `_metadata`."""
    source, net = model("plain", 1), model("weight legacy", 2)
    state = dict(source.state_dict())
    del state["1.num_batches_tracked"]
    loaded = filled(net, saved(state, tmp_path / f"x{suffix}"))
    assert_same_output(output(net), output(source))
    assert "1.num_batches_tracked" not in loaded.weights


def test_batch_normalization_of_today_has_to_have_its_count(tmp_path):
    state = model("plain", 1).state_dict()
    del state["1.num_batches_tracked"]
    path = saved(state, tmp_path / "x.pt")
    told = "lacks '1.num_batches_tracked' that the model has"
    assert _refused(model("plain", 2), path) == f"{path}: {told}"


def test_versions_are_read_below_the_prefix(tmp_path):
    state = nn.DataParallel(model("plain", 1)).state_dict()
    del state["module.1.num_batches_tracked"]
    path = saved(state, tmp_path / "x.pt")
    told = "lacks 'module.1.num_batches_tracked' that the model has"
    assert _refused(model("plain", 2), path, prefix="module.") == f"{path}: {told}"


@pytest.mark.parametrize("entry", [{"assign_to_params_buffers": True}, 7, {"version": "new"}])
def test_metadata_made_by_hand_do_not_replace_parameters(entry, tmp_path):
    state = nn.Linear(4, 3).state_dict()
    state._metadata[""] = entry
    net = nn.Linear(4, 3).double()
    parameter = net.weight
    filled(net, saved(state, tmp_path / "x.pt"))
    assert net.weight is parameter
    assert torch.equal(parameter, state["weight"].double())


class Tied(nn.Module):
    """A word embedding that is the output layer too."""

    def __init__(self, seed, put=None):
        super().__init__()
        torch.manual_seed(seed)
        self.words = nn.Embedding(7, 4)
        self.inner = nn.Linear(4, 4)
        self.again = self.inner
        if put is not None:
            put(self.inner)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.words.weight

    def forward(self, indices):
        return self.head(self.again(self.inner(self.words(indices))))


def _say(net):
    with torch.no_grad():
        return net.eval()(torch.arange(7))


@pytest.mark.parametrize("put", [None, weight_norm, spectral_norm, parametrizations.weight_norm])
def test_tied_weights_of_a_torch_file_fill_a_tied_model(put, tmp_path):
    source, net = Tied(1, put), Tied(2, put)
    filled(net, saved(source.state_dict(), tmp_path / "x.pt"))
    assert torch.equal(_say(net), _say(source))
    assert net.head.weight is net.words.weight


@pytest.mark.parametrize("before", [None, weight_norm, spectral_norm])
@pytest.mark.parametrize("after", [None, weight_norm, parametrizations.weight_norm])
def test_tied_weights_that_safetensors_left_out_are_those_it_kept(before, after, tmp_path):
    source, net = Tied(1, before), Tied(2, after)
    for _ in range(20):  # u and v of a square weight do not tell its rows before
        source.train()(torch.arange(7))
    source.eval()
    save_model(source, tmp_path / "x.safetensors")
    loaded = filled(net, tmp_path / "x.safetensors")
    assert_same_output(_say(net), _say(source))
    assert loaded.weights["words.weight"] == loaded.weights["head.weight"]
    assert {"inner.weight", "again.weight", "inner.bias", "again.bias"} < set(loaded.weights)


def test_a_model_that_ties_what_differs_in_the_file_is_told_of(tmp_path):
    state = dict(Tied(1).state_dict())
    state["head.weight"] = state["head.weight"] + 1
    loaded = filled(Tied(2), saved(state, tmp_path / "x.pt"))
    told = "'head.weight' is 'words.weight' in the model, but not in the checkpoint"
    assert loaded.notes == (f"{told}: only one of them is used",)


def test_a_tied_name_that_nothing_records_is_missing(tmp_path):
    state = dict(Tied(1).state_dict())
    del state["head.weight"]
    path = saved(state, tmp_path / "x.pt")
    assert _refused(Tied(2), path) == f"{path}: lacks 'head.weight' that the model has"


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("layout", ["plain", "weight legacy", "spectral parametrized"])
def test_another_floating_dtype_is_rounded_and_told(layout, suffix, tmp_path):
    source, net = model(layout, 1).to(torch.bfloat16), model(layout, 2)
    loaded = filled(net, saved(source.state_dict(), tmp_path / f"x{suffix}"))
    assert loaded.notes == ("weights are bfloat16, run as float32",)
    for key, tensor in source.state_dict().items():
        assert torch.equal(net.state_dict()[key], tensor.to(net.state_dict()[key].dtype)), key


def test_a_value_too_large_for_the_models_dtype_is_refused(tmp_path):
    path = saved({"weight": torch.full((3, 4), 1e5), "bias": torch.ones(3)}, tmp_path / "x.pt")
    told = "'weight' is float32, with values too large for the model's float16"
    assert _refused(nn.Linear(4, 3).half(), path) == f"{path}: {told}"


def test_infinite_values_stay_what_they_are(tmp_path):
    path = saved(
        {"weight": torch.full((3, 4), torch.inf), "bias": torch.ones(3)}, tmp_path / "x.pt"
    )
    net = nn.Linear(4, 3).half()
    filled(net, path)
    assert net.weight.isinf().all()


def test_a_complex_weight_does_not_become_a_real_one(tmp_path):
    state = nn.Linear(4, 3, dtype=torch.complex64).state_dict()
    path = saved(state, tmp_path / "x.pt")
    told = "'weight' is complex64, the model has it as float32"
    assert _refused(nn.Linear(4, 3), path) == f"{path}: {told}"


@pytest.mark.parametrize(("value", "fits"), [(7.0, True), (7.5, False), (torch.nan, False)])
def test_a_count_is_taken_from_a_float_that_is_whole(value, fits, tmp_path):
    state = dict(nn.BatchNorm1d(3).state_dict())
    state["num_batches_tracked"] = torch.tensor(value)
    path, net = saved(state, tmp_path / "x.pt"), nn.BatchNorm1d(3)
    if fits:
        assert filled(net, path).notes == ()
        assert net.num_batches_tracked.item() == 7
    else:
        told = "'num_batches_tracked' is float32, with values that the model's int64 cannot hold"
        assert _refused(net, path) == f"{path}: {told}"


class Counting(nn.Linear):
    """A layer whose state is more than tensors."""

    def __init__(self, count):
        super().__init__(4, 3)
        self.count = count

    def get_extra_state(self):
        return {"count": self.count}

    def set_extra_state(self, state):
        self.count = state["count"]


def test_extra_state_that_is_no_tensor_stays_as_the_model_was_built(tmp_path):
    source, net = Counting(1), Counting(2)
    loaded = filled(net, saved(source.state_dict(), tmp_path / "x.pt"))
    assert torch.equal(net.weight, source.weight)
    assert net.count == 2
    assert loaded.notes == ("kept as --model builds it, since no tensor: '_extra_state'",)


class Moody(nn.Linear):
    """A layer whose own loading fails, or is of another opinion."""

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        if prefix + "mood" in state_dict:
            raise LookupError("bad mood")
        super()._load_from_state_dict(state_dict, prefix, *rest)


def test_a_model_that_fails_on_loading_is_one_sentence(tmp_path):
    state = nn.Linear(4, 3).state_dict() | {"mood": torch.ones(1)}
    path = saved(state, tmp_path / "x.pt")
    message = _refused(Moody(4, 3), path, UsageError)
    assert message.startswith(f"{path}: loading it into the model failed: LookupError: bad mood")


class Renaming(nn.Module):
    """A model that still knows the names that its tensors once had."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        for old, new in (("old.bias", "fc.bias"), ("old.weight", "fc.weight")):
            if prefix + old in state_dict:
                state_dict[prefix + new] = state_dict.pop(prefix + old)
        super()._load_from_state_dict(state_dict, prefix, *rest)


def test_a_vector_that_the_model_renames_is_taken(tmp_path):
    source, net = Renaming(), Renaming()
    state = dict(source.state_dict())
    state["old.bias"] = state.pop("fc.bias")
    filled(net, saved(state, tmp_path / "x.pt"))
    assert torch.equal(net.fc.bias, source.fc.bias)


def test_a_weight_that_the_model_renames_has_no_name_in_the_file(tmp_path):
    state = dict(Renaming().state_dict())
    state["old.weight"] = state.pop("fc.weight")
    path = saved(state, tmp_path / "x.pt")
    told = "lacks 'fc.weight', which code of the model fills in its own way"
    assert _refused(Renaming(), path) == f"{path}: {told}"


class Silent(nn.Linear):
    """A model whose own loading does not say what fitted."""

    def load_state_dict(self, state_dict, strict=True):
        super().load_state_dict(state_dict, strict=strict)


def test_a_model_that_does_not_say_what_fitted_is_held_to_its_keys(tmp_path):
    path = saved({"weight": torch.ones(3, 4)}, tmp_path / "x.pt")
    assert _refused(Silent(4, 3), path) == f"{path}: lacks 'bias' that the model has"
    filled(Silent(4, 3), saved(nn.Linear(4, 3).state_dict(), tmp_path / "y.pt"))


def test_what_is_there_but_not_read_is_the_hint(tmp_path):
    state = dict(nn.Linear(4, 3).state_dict())
    state["bias"] = state["bias"].to_sparse()
    path = saved(state, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="lacks 'bias' that the model has") as caught:
        filled(nn.Linear(4, 3), path)
    assert caught.value.hint.startswith("'bias' is there but not read: sparse")
