"""Models as a user writes them into a module, each with a fault of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch
from torch import nn


def build(width=5):
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 4))


def fails():
    raise ValueError("too wide")


def nothing():
    build()


def states():
    return build().state_dict()


MODEL = build()


class Within(nn.Module):
    """Does something between its layers."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 5), nn.Linear(5, 4)
        self.runs = 0

    def act(self):
        pass

    def forward(self, x):
        x = torch.relu(self.first(x))
        self.runs += 1
        self.act()
        return self.last(x)


class FailsLater(Within):
    def act(self):
        if self.runs == 2:
            raise RuntimeError("out of luck")


class FailsLast(Within):
    def act(self):
        if self.runs == 3:
            raise RuntimeError("out of time")


class Exits(Within):
    def act(self):
        raise SystemExit(0)


class Interrupted(Within):
    def act(self):
        raise KeyboardInterrupt


class Branches(Within):
    def act(self):
        if self.runs == 2:
            self.last(torch.ones(3, 5))


class Moves(Within):
    def act(self):
        os.chdir("/")


def moves():
    os.chdir("/")
    return Moves()


class Deletes(Within):
    def act(self):
        Path("in.pt").unlink(missing_ok=True)


class Damages(Within):
    def act(self):
        with Path("in.pt").open("r+b") as file:
            file.seek(-600, os.SEEK_END)
            file.write(b"x")


class Empties(Within):
    def act(self):
        Path("in.pt").write_bytes(b"")


class Replaces(Within):
    def act(self):
        Path("copy.pt").write_bytes(Path("in.pt").read_bytes())
        Path("copy.pt").replace("in.pt")


class Writes(Within):
    def act(self):
        Path("out.pt").write_bytes(b"mine")


class Clears(Within):
    def act(self):
        shutil.rmtree("folder", ignore_errors=True)


class Prints(Within):
    def act(self):
        print("noise")  # noqa: T201  as users do


def settles():
    torch.set_default_dtype(torch.float64)
    return Within().float()
