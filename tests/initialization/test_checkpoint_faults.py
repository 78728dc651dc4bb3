"""What is asked for and cannot be: one sentence, nothing written, the input as it was."""

from __future__ import annotations

import os
from pathlib import Path

import fault_models
import numpy as np
import pytest
import torch
from initialize_faults import BATCH, TRACE, line_of, told
from initialized_nets import saved
from safetensors.torch import save_file
from torch import nn

from normcli.errors import CheckpointError, OutputError, UsageError

torch.set_num_threads(1)

PLACES = "it is looked for in the working directory, PYTHONPATH and the installed packages"
JSON = "they are JSON: an object holds keywords, an array positional arguments"
MODELS = {
    "no_such_module:build": ("no module is called 'no_such_module'", PLACES),
    "needs:build": (
        "importing 'needs' failed: ModuleNotFoundError: No module named 'none' (needs.py, line 2)",
        "install it into the environment that normcli runs in",
    ),
    "wrong:build": (
        "importing 'wrong' failed: SyntaxError: invalid syntax (wrong.py, line 1)",
        TRACE,
    ),
    "nets:bild": ("'nets' has no attribute 'bild'", "did you mean 'build'?"),
    "nets:fails": (
        f"building 'nets:fails' failed: ValueError: too wide (nets.py, line {line_of('too wide')})",
        TRACE,
    ),
    "nets:nothing": (
        "'nets:nothing' gave None, expected a torch.nn.Module",
        "does it end with return?",
    ),
    "nets:states": ("'nets:states' gave an OrderedDict, expected a torch.nn.Module", ""),
}


@pytest.mark.parametrize("model", MODELS)
def test_a_model_that_cannot_be_built(model, user_folder):
    said, hint = MODELS[model]
    assert told(user_folder, model=model) == (UsageError, f"--model: {said}", hint)


def test_arguments_that_do_not_fit(user_folder):
    taken = "got an unexpected keyword argument 'widht'"
    said = f"--model-args: do not fit 'nets:build', which takes (width=5): {taken}"
    assert told(user_folder, model_args={"widht": 3}) == (UsageError, said, JSON)
    said = "--model-args: 'nets:MODEL' is a model already, which takes no arguments"
    assert told(user_folder, model="nets:MODEL", model_args=[3]) == (UsageError, said, "")
    said = "--model-args: are given for a model, which takes no arguments"
    assert told(user_folder, model=fault_models.build(), model_args=[3]) == (UsageError, said, "")


def test_a_model_that_is_none(user_folder):
    hint = "name what builds it: 'package.module:factory'"
    for model, found in ((fault_models.build, "function"), (None, "NoneType")):
        said = f"--model: is of type {found}, expected a name or a torch.nn.Module"
        assert told(user_folder, model=model) == (UsageError, said, hint)


def test_a_model_without_shapes(user_folder):
    said = "--model: 'weight' of the model is lazy: it has no shape before the first run"
    hint = "run it once on an example in the factory"
    assert told(user_folder, model=nn.LazyLinear(4)) == (UsageError, said, hint)


def _assert_unfit(user_folder, state, found, hint, **options):
    saved(state, user_folder / "in.pt")
    assert told(user_folder, **options) == (CheckpointError, f"in.pt: {found}", hint)


LS = "normcli ls shows what it holds"


def test_a_checkpoint_that_does_not_fit(user_folder):
    state = fault_models.build().state_dict()
    short = {key: tensor for key, tensor in state.items() if key != "2.bias"}
    long = {**state, "3.bias": torch.ones(2)}
    _assert_unfit(user_folder, short, "lacks '2.bias' that the model has", LS)
    _assert_unfit(user_folder, long, "holds '3.bias' that the model does not have", LS)
    _assert_unfit(
        user_folder,
        {**short, "3.bias": torch.ones(2)},
        "lacks '2.bias' that the model has; holds '3.bias' that it does not have",
        LS,
    )
    _assert_unfit(
        user_folder,
        state,
        "'0.weight' has shape (5, 6), the model's has (7, 6)",
        "build the model as it was when it was saved: --model-args",
        model_args=[7],
    )


RAN = "the forward pass on 'input' of shape"
FAILED = "in '0' (Linear), failed: RuntimeError:"
BATCHES = {
    "another width": (
        {"input": BATCH[:, :5]},
        UsageError,
        f"{RAN} (32, 5), {FAILED} mat1 and mat2 shapes cannot be multiplied (32x5 and 6x5)",
        TRACE,
    ),
    "another dtype": (
        {"input": BATCH.long()},
        UsageError,
        f"{RAN} (32, 6), {FAILED} mat1 and mat2 must have the same dtype, but got Long and Float",
        TRACE,
    ),
    "another name": (
        {"x": BATCH},
        UsageError,
        "holds 'x', forward takes 'input'",
        "name it 'input'",
    ),
    "a name too many": (
        {"input": BATCH, "mask": BATCH + 1},
        UsageError,
        "holds 'mask', forward takes 'input'",
        "leave it out",
    ),
    "a number that is none": (
        {"input": BATCH.clone().index_fill(0, torch.tensor([3]), torch.nan)},
        CheckpointError,
        "'input' holds NaN in 6 of 192 values, expected numbers",
        "one such value spoils every mean it enters",
    ),
    "no entries": (
        {"input": BATCH[:0]},
        CheckpointError,
        "'input' has shape [0, 6], expected at least one entry",
        "",
    ),
}


@pytest.mark.parametrize("case", BATCHES)
def test_a_batch_that_does_not_fit(case, user_folder):
    tensors, error, said, hint = BATCHES[case]
    save_file(
        {name: each.contiguous() for name, each in tensors.items()},
        user_folder / "batch.safetensors",
    )
    assert told(user_folder) == (error, f"batch.safetensors: {said}", hint)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (BATCH[:1], "5 of 5 units do not vary over the batch: it gives each one value"),
        (BATCH[:1].expand(7, 6), "5 of 5 units do not vary over the batch"),
        (torch.full((3, 6), torch.inf), "its output holds NaN or infinite entries"),
    ],
)
def test_a_batch_on_which_nothing_can_be_initialized(rows, reason, user_folder):
    np.save("x.npy", rows.numpy())
    error, said, _ = told(user_folder, batch="x.npy")
    assert error is UsageError
    assert said.startswith(f"in.pt: nothing to initialize: '0.weight': {reason}; '2.weight': ")


def test_a_batch_that_is_not_there(user_folder):
    assert told(user_folder, batch="none.npy") == (CheckpointError, "none.npy: no such file", "")
    (user_folder / "x.npy").write_bytes(b"\x93NUMPY\x01\x00")
    assert told(user_folder, batch="x.npy")[0] is CheckpointError


@pytest.mark.parametrize("force", [True, False])
def test_an_output_that_is_the_batch(force, user_folder):
    said = (OutputError, "batch.safetensors: is the batch itself", "")
    assert told(user_folder, output="batch.safetensors", force=force) == said
    (user_folder / "link.pt").symlink_to("batch.safetensors")
    os.link("batch.safetensors", "hard.pt")
    for name in ("link.pt", "hard.pt"):
        assert told(user_folder, output=name, force=force)[1] == f"{name}: is the batch itself"


def test_an_output_that_would_be_named_like_the_batch(user_folder):
    Path("batch.safetensors").rename("in.initialized.pt")
    said = (OutputError, "in.initialized.pt: is the batch itself", "")
    assert told(user_folder, batch="in.initialized.pt", output=None, force=True) == said


def test_an_output_that_is_there(user_folder):
    (user_folder / "out.pt").write_bytes(b"mine")
    assert told(user_folder) == (OutputError, "out.pt: exists", "replace it with --force")
    assert told(user_folder, output="in.pt", force=True)[0] is OutputError
    assert told(user_folder, output="no/out.pt")[1] == "no/out.pt: its folder does not exist"


def test_options_that_cannot_be_meant(user_folder):
    said = "--layout: no layout is called 'parametrised'"
    assert told(user_folder, layout="parametrised") == (
        UsageError,
        said,
        "did you mean 'parametrized'?",
    )
    said = "--dim: axis 7 was asked for '0.weight', which has 2 axes"
    assert told(user_folder, layout="legacy", dims={"*": 7})[:2] == (UsageError, said)
    said = f"--seed: {2**64} is no seed of torch, expected 64 bits"
    assert said in told(user_folder, seed=2**64)[1]
    assert told(user_folder, section="no")[1] == "--section: 'no' is no section of in.pt"
    assert (
        told(user_folder, prefix="module.")[1] == "--prefix: no key of in.pt begins with 'module.'"
    )
    assert told(user_folder, expect_sha256="00" * 32)[1].startswith("in.pt: sha256 is ")
