"""Group F: shards that lie elsewhere or disagree with their index, and distributed checkpoints."""

from __future__ import annotations

import json
import os

import hostile
import shard_files
import torch
from cases import READ, REFUSED, Case
from hostile import name, pickle, row, table, tensor, text
from safetensors.torch import save_file
from shard_files import FIRST, GOOD, INDEX, SECOND

_MARK = name("os", "system") + row(text("touch marker")) + b"R"


def _mapped(what, weight_map, says, why):
    """An index that maps tensors to files where they are not."""
    return _refused(what, lambda folder: shard_files.write(folder, weight_map), says, why)


def _placed(what, shard, why):
    """An index that leads to a file by more than a name."""
    return _mapped(what, {**GOOD, "c": shard}, "which is no plain file name", why)


def _indexed(what, index, says, why):
    """An index as it is written, beside its shards."""

    def build(folder):
        path = shard_files.write(folder)
        path.write_text(index)
        return path

    return _refused(what, build, says, why)


def _refused(what, build, says, why):
    return Case(what, "F", build, REFUSED, says, why)


def _linked(folder):
    """Every file is a link into another folder, as in the cache of Hugging Face."""
    blobs, snapshot = folder / "blobs", folder / "snapshots" / "main"
    for each in (blobs, snapshot):
        each.mkdir(parents=True)
    shard_files.write(blobs)
    for number, file in enumerate((FIRST, SECOND, INDEX)):
        (blobs / file).rename(blobs / str(number))
        (snapshot / file).symlink_to(f"../../blobs/{number}")
    return snapshot / INDEX


def _link_to_a_secret(path):
    folder = path.parent / "elsewhere"
    folder.mkdir()
    (folder / "token").write_text("token of somebody")
    path.symlink_to("elsewhere/token")


def _replaced(replace):
    """Two shards and their index, the second shard replaced."""

    def build(folder):
        path = shard_files.write(folder)
        (folder / SECOND).unlink()
        replace(folder / SECOND)
        return path

    return build


def _held_too(folder, **tensors):
    """The first shard holds more than the index says."""
    path = shard_files.write(folder)
    save_file({"a": torch.ones(1), **tensors}, folder / FIRST)
    return path


def _calling(folder):
    """A torch shard that calls."""
    shard, index = "pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"
    content = pickle(table((text("a"), tensor()), (text("b"), _MARK)))
    (folder / shard).write_bytes(hostile.archive(content))
    (folder / index).write_text(json.dumps({"weight_map": {"a": shard}}))
    return folder / index


def _distributed(folder):
    """What torch.distributed.checkpoint writes, and unpickles without asking."""
    (folder / ".metadata").write_bytes(pickle(_MARK))
    (folder / "__0_0.distcp").write_bytes(hostile.archive(pickle(_MARK)))
    return folder


_OUTSIDE = "reads a file that is not the checkpoint's"
_HIDES = "a tensor that no gate looks at"

_NAMES = (
    _placed("shard at ../../etc/passwd", "../../etc/passwd", _OUTSIDE),
    _placed("shard at an absolute path", "/etc/passwd", _OUTSIDE),
    _placed("shard at a/../../x", "a/../../x", _OUTSIDE),
    _placed(r"shard at C:\x", r"C:\x", _OUTSIDE),
    _placed("shard with NUL", f"{SECOND}\0.txt", "the system sees another name"),
    _placed("shard of no string", ["a"], "an error that nobody caught"),
)

_FILES = (
    Case("shards linked to another folder", "F", _linked, READ, "",
         "the cache of Hugging Face is made of links"),
    _refused("shard linked to no checkpoint", _replaced(_link_to_a_secret), "is not a checkpoint",
             _OUTSIDE),
    _refused("shard linked to a device",
             _replaced(lambda path: path.symlink_to("/dev/zero")),
             "is a device, expected a regular file", "reads for ever"),
    _refused("shard is a FIFO", _replaced(os.mkfifo), "is a FIFO, expected a regular file",
             "waits for ever"),
    _refused("shard is a directory", _replaced(os.mkdir), "is a directory, expected a regular",
             "an error that nobody caught"),
    _refused("shard is an index", _replaced(lambda path: path.write_text('{"weight_map": {}}')),
             "is an index, expected a shard", "indexes that lead to one another"),
    _refused("torch shard that calls", _calling, "os.system (1, at b)",
             "runs with the second file"),
)  # fmt: skip

_AGREEMENT = (
    _mapped("missing shard", {**GOOD, "c": "model-00003-of-00003.safetensors"}, "no such file",
            "half of a model passes"),
    _mapped("tensor in the wrong shard", {"a": SECOND, "b": FIRST},
            f"says that 'b' is in '{FIRST}', which lacks it", "another reader sees another model"),
    _mapped("tensor in no shard", {**GOOD, "c": SECOND},
            f"says that 'c' is in '{SECOND}', which lacks it", "half of a model passes"),
    _refused("tensor in two shards", lambda folder: _held_too(folder, b=torch.ones(2)),
             f"says that 'b' is in '{SECOND}', '{FIRST}' holds it",
             "another reader sees another model"),
    _refused("tensor not in the index", lambda folder: _held_too(folder, c=torch.ones(2)),
             f"says that 'c' is nowhere, '{FIRST}' holds it", _HIDES),
    _mapped("shard not in the index", {"a": FIRST},
            f"does not name the shard '{SECOND}' beside it", _HIDES),
    _mapped("index of nothing", {}, "has an empty weight_map", "nothing passes as everything"),
    _indexed("duplicate key in an index", '{"weight_map": {"a": "x", "\\u0061": "y"}}',
             "key 'a' comes twice", "another reader sees another model"),
    _indexed("index that nests", '{"weight_map":' + "[" * 100_000, "nests too deep",
             "the stack overflows"),
)  # fmt: skip

_DISTRIBUTED = (
    _refused("distributed checkpoint that calls", _distributed,
             "is a distributed checkpoint (.metadata), which normcli does not read",
             "torch unpickles .metadata freely"),
    _refused(".metadata that calls", lambda folder: _distributed(folder) / ".metadata",
             "is a pickle that torch.save did not write", "torch unpickles .metadata freely"),
    _refused(".distcp that calls", lambda folder: _distributed(folder) / "__0_0.distcp",
             "os.system (1", "runs with the first tensor"),
)  # fmt: skip

CASES: tuple[Case, ...] = (*_NAMES, *_FILES, *_AGREEMENT, *_DISTRIBUTED)
