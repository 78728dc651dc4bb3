"""What torch.load makes of files, in a process that may die of it: a line of JSON for each.

python torch_side.py FOLDER FIRST COUNT: the files are named by their numbers.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import warnings
from pathlib import Path

import torch

MEMORY = 4 << 30  # bytes of address space
_DEEPEST = 80


def described(tensor):
    """Dtype, shape, stride and the hash of the entries; None for a kind that normcli skips."""
    odd = tensor.is_conj() or tensor.is_neg() or tensor.is_quantized or tensor.is_meta
    if odd or tensor.layout != torch.strided:
        return None
    plain = tensor.detach().resolve_conj()
    flat = torch.empty(plain.numel(), dtype=plain.dtype).copy_(plain.reshape(-1))
    raw = flat.view(torch.uint8).numpy().tobytes()
    sha256 = hashlib.sha256(raw).hexdigest()
    return [str(plain.dtype)[6:], list(plain.shape), list(plain.stride()), sha256]


def named(value, path, inside, found):
    """Name → description of every tensor: keys and places joined by slashes."""
    if isinstance(value, torch.Tensor):
        found["/".join(path) or "tensor"] = described(value)
        return
    if id(value) in inside or len(path) > _DEEPEST or not isinstance(value, (dict, list, tuple)):
        return
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in pairs:
        word = _word(key) if isinstance(value, dict) else f"[{key}]"
        named(item, (*path, word), inside | {id(value)}, found)


def _word(key):
    return key if isinstance(key, str) else f"{key!r} ({type(key).__name__})"


def outcome(path):
    """The tensors of a file, or the class of the error."""
    try:
        loaded = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # noqa: BLE001 - torch raises whatever its parts raise
        return {"error": type(error).__name__}
    found = {}
    named(loaded, (), frozenset(), found)
    return {"tensors": found}


def main(folder, first, count):
    """A line for each file, written at once: what comes after the last one is what killed us."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for number in range(int(first), int(first) + int(count)):
        sys.stdout.write(json.dumps(outcome(Path(folder) / str(number))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
