"""What a torch file is said to hold beside its tensors."""

from __future__ import annotations

import argparse
from collections import OrderedDict

import pytest
import torch

from normcli.formats import open_checkpoint

torch.set_num_threads(1)

STATE = OrderedDict(w=torch.ones(2))
STATE._metadata = OrderedDict({"": {"version": 1}})
EMPTY = OrderedDict()
EMPTY._metadata = OrderedDict({"": {"version": 1}})
LOOP = ["x"]
LOOP.append(LOOP)
ADAM = {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"params": [0]}]}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (STATE, {}),
        ({}, {}),
        (7, {"tensor": "int"}),
        (torch.ones(2), {}),
        ({"epoch": 3, "lr": 0.1, "ok": True, "none": None}, {
            "epoch": "int", "lr": "float", "ok": "bool", "none": "None",
        }),
        ({"state_dict": STATE, "hparams": {"a": {"b": [1]}}}, {"hparams": "dict"}),
        ({"state_dict": EMPTY, "callbacks": {}}, {"callbacks": "dict"}),
        ({"m": {"w": STATE["w"], "extra": [1, 2]}, "o": OrderedDict(a=1)}, {
            "m/extra": "list", "o": "OrderedDict",
        }),
        ({"optimizer": ADAM, "all": [ADAM, 5]}, {
            "optimizer/…": "optimizer state", "all/[0]/…": "optimizer state", "all/[1]": "int",
        }),
        ({"w": torch.eye(2).to_sparse(), "n": torch.ones(2).conj()}, {"w": "sparse tensor"}),
        ({"args": argparse.Namespace(a=torch.ones(1)), "w": torch.ones(1)}, {
            "args": "foreign object argparse.Namespace",
        }),
        ({"s": {1}, "f": torch.float16, "z": torch.Size([1]), "d": torch.device("cpu")}, {
            "s": "set", "f": "dtype", "z": "torch.Size", "d": "device",
        }),
        ({"loop": LOOP, "w": torch.ones(1)}, {"loop": "list"}),
    ],
)  # fmt: skip
def test_leftovers_are_the_topmost_values_without_tensors(content, expected, tmp_path):
    torch.save(content, tmp_path / "in.pt")
    with open_checkpoint(tmp_path / "in.pt", allow_opaque=True) as checkpoint:
        assert {each.name: each.reason for each in checkpoint.leftovers()} == expected


def test_attributes_of_a_tensor_are_leftovers(tmp_path):
    marked = torch.nn.Parameter(torch.ones(2))
    marked.note = "from a run"
    torch.save({"sd": {"w": marked}}, tmp_path / "in.pt")
    with open_checkpoint(tmp_path / "in.pt") as checkpoint:
        (only,) = checkpoint.leftovers()
    assert (only.name, only.reason) == ("sd/w", "Python attributes of a tensor")
