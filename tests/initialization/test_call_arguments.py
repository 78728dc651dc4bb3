"""Names decide which argument of forward a tensor is; the call itself shows whether rightly."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from normcli.errors import UsageError
from normcli.initialization.batch import arguments_from, call_arguments

torch.set_num_threads(1)

FILE = "batch.safetensors"
A, B, C = torch.tensor([1.0]), torch.tensor([2.0]), torch.tensor([3.0])


def model_of(signature):
    """A module with a float32 parameter, whose forward gives what it was called with, by name."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

    body = "given = dict(locals()); del given['self']; return given"
    names = {}
    exec(f"def forward(self, {signature}): {body}", names)
    Model.forward = names["forward"]
    return Model()


def called(signature, batch):
    model = model_of(signature)
    args, kwargs, notes = call_arguments(model, batch, where=FILE)
    assert notes == ()
    return model(*args, **kwargs)


def refusal(signature, batch):
    with pytest.raises(UsageError) as caught:
        call_arguments(model_of(signature), batch, where=FILE)
    return str(caught.value), caught.value.hint


@pytest.mark.parametrize(
    ("signature", "batch", "given"),
    [
        ("a, b", {"b": B, "a": A}, {"a": A, "b": B}),
        ("a, b", {"b": B, "input": A}, {"a": A, "b": B}),
        ("a", {"input": A}, {"a": A}),
        ("input", {"input": A}, {"input": A}),
        ("a, input", {"input": B, "a": A}, {"a": A, "input": B}),
        ("a, /, b=None, *, c=None", {"a": A, "c": C}, {"a": A, "b": None, "c": C}),
        ("a, /, b", {"input": A, "b": B}, {"a": A, "b": B}),
        ("a, b=7, c=8, /", {"c": C, "a": A}, {"a": A, "b": 7, "c": C}),
        ("a=5, b=7, /", {"input": A}, {"a": A, "b": 7}),
        ("a=5, b=7, /", {"b": B}, {"a": 5, "b": B}),
        ("*args, **rest", {"z": B, "input": A}, {"args": (A,), "rest": {"z": B}}),
        ("*args", {"input": A}, {"args": (A,)}),
        ("**rest", {"input": A, "b": B}, {"rest": {"input": A, "b": B}}),
        ("*, a, **rest", {"a": A, "input": B}, {"a": A, "rest": {"input": B}}),
        ("a, **rest", {"input": A, "b": B}, {"a": A, "rest": {"b": B}}),
        ("", {}, {}),
    ],
)
def test_forward_gets_each_tensor_where_its_name_says(signature, batch, given):
    assert called(signature, batch) == given


def test_input_goes_first_by_position():
    args, kwargs, _ = call_arguments(model_of("images"), {"input": A}, where="")
    assert args == (A,)
    assert kwargs == {}


@pytest.mark.parametrize(
    "wrapped",
    [
        nn.DataParallel,
        nn.Sequential,
        torch.compile,
        lambda model: torch.jit.trace(model, torch.ones(2)),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_wrapped_models_take_input(wrapped):
    linear = nn.Linear(2, 3)
    args, kwargs, _ = call_arguments(wrapped(linear), {"input": torch.ones(2)}, where=FILE)
    assert torch.equal(linear(*args, **kwargs), linear(torch.ones(2)))


TAKES_TWO = "forward takes 'images', 'mask'"


@pytest.mark.parametrize(
    ("signature", "batch", "message", "hint"),
    [
        (
            "images, mask",
            {"x": A},
            f"holds 'x', {TAKES_TWO}",
            "name it 'images', 'mask', or 'input'",
        ),
        (
            "images",
            {"x": A},
            "holds 'x', forward takes 'images'",
            "name it 'images', or 'input'",
        ),
        (
            "images, mask",
            {"images": A, "x": B},
            f"holds 'x', {TAKES_TWO}",
            "name it 'mask'",
        ),
        (
            "images, mask=None",
            {"images": A, "x": B},
            f"holds 'x', {TAKES_TWO}",
            "name it 'mask'",
        ),
        (
            "images, mask=None",
            {"images": A, "mask": B, "x": C},
            f"holds 'x', {TAKES_TWO}",
            "leave it out",
        ),
        (
            "*, mask",
            {"input": A},
            "holds 'input', forward takes 'mask'",
            "name it 'mask'",
        ),
        (
            "*args",
            {"x": A},
            "holds 'x', forward takes nothing by name",
            "name it 'input'",
        ),
        (
            "",
            {"x": A, "y": B},
            "holds 'x', 'y', forward takes nothing by name",
            "leave it out",
        ),
        (
            "images, mask",
            {"images": A},
            "holds 'images', forward needs 'mask' too",
            "put every required argument into the batch",
        ),
        (
            "images, mask",
            {"input": A},
            "holds 'input', forward needs 'mask' too",
            "put every required argument into the batch",
        ),
        (
            "images, mask",
            {},
            "is empty, forward needs 'images', 'mask'",
            "put every required argument into the batch",
        ),
        (
            "images",
            {"images": A, "input": B},
            "holds 'input' and 'images', which are both the first argument of forward",
            "leave one of them out",
        ),
    ],
)
def test_names_that_do_not_fit_are_one_line(signature, batch, message, hint):
    assert refusal(signature, batch) == (f"{FILE}: {message}", hint)


@pytest.mark.parametrize(
    ("data", "weights"),
    [
        (torch.float64, torch.float32),
        (torch.float32, torch.float64),
        (torch.float32, torch.bfloat16),
        (torch.float8_e4m3fn, torch.float32),
    ],
)
def test_floating_tensors_take_the_dtype_of_the_model(data, weights):
    model = nn.Linear(2, 2).to(weights)
    tensor = torch.tensor([1.0, 2.0]).to(data)
    _, kwargs, notes = call_arguments(model, {"input": tensor}, where=FILE)
    assert kwargs["input"].dtype == weights
    assert kwargs["input"].tolist() == [1, 2]
    names = [str(dtype).removeprefix("torch.") for dtype in (data, weights)]
    assert notes == (f"'input' is {names[0]}, run as {names[1]}",)


@pytest.mark.parametrize("tensor", [torch.arange(3), torch.tensor([True]), torch.ones(2) * 1j])
def test_other_tensors_keep_their_dtype(tensor):
    _, kwargs, notes = call_arguments(nn.Linear(2, 2), {"input": tensor}, where=FILE)
    assert kwargs["input"] is tensor
    assert notes == ()


def test_a_value_that_overflows_in_the_dtype_of_the_model_is_refused():
    with pytest.raises(UsageError) as caught:
        call_arguments(nn.Linear(2, 2).half(), {"input": torch.tensor([1e6, 1.0])}, where=FILE)
    assert str(caught.value) == (
        f"{FILE}: 'input' is float32, with values too large for the model's float16"
    )


def test_tensors_go_to_the_device_of_the_model():
    model = nn.Linear(2, 2, device="meta")
    _, kwargs, _ = call_arguments(model, {"input": torch.ones(2)}, where=FILE)
    assert kwargs["input"].is_meta
    buffers = nn.BatchNorm1d(2, affine=False, device="meta")
    _, kwargs, _ = call_arguments(buffers, {"input": torch.ones(2)}, where=FILE)
    assert kwargs["input"].is_meta


def test_a_model_without_tensors_changes_nothing():
    tensor = torch.ones(2, dtype=torch.float64)
    _, kwargs, notes = call_arguments(nn.Identity(), {"input": tensor}, where=FILE)
    assert kwargs["input"] is tensor
    assert notes == ()


def test_the_batch_itself_is_left_as_it_is():
    batch = {"input": torch.ones(2, dtype=torch.float64)}
    call_arguments(nn.Linear(2, 2), batch, where=FILE)
    assert batch["input"].dtype == torch.float64


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (A, ((A,), {})),
        ((A, B), ((A, B), {})),
        ([A, 3], ((A, 3), {})),
        ({"a": A, "b": 3}, ((), {"a": A, "b": 3})),
        (OrderedDict(input=A, b=B), ((A,), {"b": B})),
    ],
)
def test_a_caller_in_python_gives_tensors_sequences_or_names(batch, expected):
    assert arguments_from(model_of("a, b=None"), batch) == expected


def test_nothing_of_a_caller_is_cast_or_checked():
    tensor = torch.tensor([float("nan")], dtype=torch.float64)
    args, _ = arguments_from(nn.Linear(1, 1), tensor)
    assert args[0] is tensor
    _, kwargs = arguments_from(nn.Linear(1, 1), {"input": tensor})
    assert kwargs["input"] is tensor


def test_names_of_a_caller_are_held_to_the_same_rule():
    with pytest.raises(UsageError) as caught:
        arguments_from(model_of("images"), {"x": A})
    assert str(caught.value) == "batch: holds 'x', forward takes 'images'"


@pytest.mark.parametrize(
    ("batch", "kind"), [("x.npy", "str"), (np.ones(2), "ndarray"), (None, "NoneType")]
)
def test_another_object_is_refused(batch, kind):
    with pytest.raises(UsageError) as caught:
        arguments_from(nn.Linear(2, 2), batch)
    assert str(caught.value) == (
        f"batch: is of type {kind}, expected a tensor, a tuple, a list or a mapping of names"
    )
