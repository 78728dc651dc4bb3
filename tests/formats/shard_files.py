"""A checkpoint of two shards, with whatever index a test wants."""

from __future__ import annotations

import json

import torch
from safetensors.torch import save_file

FIRST = "model-00001-of-00002.safetensors"
SECOND = "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"
GOOD = {"a": FIRST, "b": SECOND}


def write(folder, weight_map=GOOD, *, index=INDEX, **more):
    """Two shards and an index; gives the path of the index."""
    save_file({"a": torch.tensor([1.0])}, folder / FIRST)
    save_file({"b": torch.tensor([2.0, 3.0])}, folder / SECOND)
    (folder / index).write_text(json.dumps({"weight_map": weight_map, **more}))
    return folder / index
