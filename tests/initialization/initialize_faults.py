"""What is said where initialization of a checkpoint fails, and that nothing was written."""

from __future__ import annotations

from pathlib import Path

import fault_models
import pytest
import torch

from normcli.commands.initialize_checkpoint import initialize_checkpoint
from normcli.errors import NormcliError

BATCH = torch.linspace(-3, 3, 32 * 6).sin().reshape(32, 6)
TRACE = "--debug shows its traceback"


def line_of(text):
    """Of the models, the first that has it."""
    lines = Path(fault_models.__file__).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def given(**options):
    defaults = {"model": "nets:build", "batch": "batch.safetensors", "output": "out.pt"}
    return initialize_checkpoint("in.pt", **defaults | options)


def told(folder, **options):
    """(class, sentence, hint) of the error; nothing was written."""
    before, here = content(folder), Path.cwd()
    with pytest.raises(NormcliError) as caught:
        given(**options)
    assert content(folder) == before
    assert Path.cwd() == here
    assert "\n" not in str(caught.value) + caught.value.hint
    return type(caught.value), str(caught.value), caught.value.hint
