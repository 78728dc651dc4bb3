"""What of the corpus is read is, to the bit, what torch.load gives."""

from __future__ import annotations

import corpus_containers
import corpus_objects
import pytest
import torch
from cases import REFUSED

from normcli.formats import open_checkpoint

CASES = [
    case
    for case in (*corpus_containers.CASES, *corpus_objects.CASES)
    if case.verdict != REFUSED and case.name != "TorchScript"
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_tensor_that_is_read_equals_that_of_torch(case, tmp_path):
    path = case.build(tmp_path)
    expected = tensors(torch.load(path, weights_only=False))  # our own file, and no hostile one
    with open_checkpoint(path, allow_opaque=True) as checkpoint:
        skipped = [each.name for each in checkpoint.skipped]
        for name in checkpoint.tensors:
            assert_bits(checkpoint.read(name), expected.pop(name))
    assert all(name.startswith("optimizer/") for name in expected)
    assert bool(expected) == bool(skipped)


@pytest.mark.filterwarnings("ignore:.*torch.jit.load.*:DeprecationWarning")
def test_the_tensors_of_a_script_equal_those_of_torch(tmp_path):
    case = next(case for case in corpus_containers.CASES if case.name == "TorchScript")
    path = case.build(tmp_path)
    expected = dict(torch.jit.load(path).state_dict())
    with open_checkpoint(path) as checkpoint:
        assert list(checkpoint.tensors) == list(expected)
        for name, tensor in expected.items():
            assert_bits(checkpoint.read(name), tensor)


def tensors(value, path=()):
    """Every tensor below a value that torch loaded, by the name that normcli gives it."""
    if isinstance(value, torch.Tensor):
        return {"/".join(path): value}
    if isinstance(value, dict):
        items = [(spelled(key), item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        items = [(f"[{index}]", item) for index, item in enumerate(value)]
    else:
        return {}
    found = {}
    for key, item in items:
        found |= tensors(item, (*path, key))
    return found


def spelled(key):
    return key if isinstance(key, str) else f"{key!r} ({type(key).__name__})"


def assert_bits(actual, expected):
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    assert torch.equal(bits(actual), bits(expected))


def bits(tensor):
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)
