"""What fuzzing starts from: small good files of every kind, built by code."""

from __future__ import annotations

import io
import json
import pickle as standard_pickle
import struct
import sys
import zipfile
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

sys.path.append(str(Path(__file__).resolve().parents[1] / "formats"))

import hostile
from hostile import integer, name, ordered_dict, pickle, row, table, tensor, text

RECORDS = {"0": struct.pack("<4f", 1, 2, 3, 4), "1": struct.pack("<8h", *range(8))}
SECOND = {"key": "1", "kind": "HalfStorage", "numel": 8}
SHARDS = ("a.safetensors", "b.safetensors")


def zipped(entries, *, top="archive"):
    """A zip archive of stored entries, the same bytes on every day."""
    body, directory = bytearray(), bytearray()
    for key, content in entries.items():
        title = f"{top}/{key}".encode()
        crc, size = zlib.crc32(content), len(content)
        shared = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 33, crc, size, size, len(title), 0)
        place = struct.pack("<HHHII", 0, 0, 0, 0, len(body))
        directory += b"PK\x01\x02\x14\0" + shared + place + title
        body += b"PK\x03\x04" + shared + title + content
    count, size = len(entries), len(directory)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, size, len(body), 0)
    return bytes(body + directory + end)


def archive(data_pkl, **more):
    """The pickle as torch.save would have packed it, with two storages beside it."""
    storages = {f"data/{key}": content for key, content in RECORDS.items()}
    return zipped({"data.pkl": data_pkl, "byteorder": b"little", **more, **storages})


LEGACY_START = (
    pickle(integer(0x1950A86A20F9469CFC6C)) + pickle(integer(1001))
    + pickle(table((text("protocol_version"), integer(1001)), (text("little_endian"), b"\x88")))
)  # fmt: skip


def legacy(main, *, keys=("0",)):
    """The pickle as torch.save wrote it before version 1.6, with the storages it names."""
    listed = pickle(b"](" + b"".join(map(text, keys)) + b"e")
    sizes = {"0": 4, "1": 8}
    stored = b"".join(struct.pack("<q", sizes[key]) + RECORDS[key] for key in keys)
    return LEGACY_START + main + listed + stored


def legacy_tensor(key="0", kind="FloatStorage", numel=4, shape=(4,), stride=(1,)):
    place = row(text("storage"), name("torch", kind), text(key), text("cpu"), integer(numel), b"N")
    arguments = (place + b"Q", integer(0), hostile.integers(shape), hostile.integers(stride))
    return (
        name("torch._utils", "_rebuild_tensor_v2")
        + row(*arguments, b"\x89", ordered_dict()) + b"R"
    )  # fmt: skip


def parameter(value):
    return name("torch._utils", "_rebuild_parameter") + row(value, b"\x88", ordered_dict()) + b"R"


def model():
    """A state dict with a spectral norm and a weight norm, as torch saves it."""
    torch.manual_seed(0)
    spectral = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(3, 2))
    weight = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 2))
    return torch.nn.Sequential(spectral, weight).state_dict()


def saved(value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


@cache
def pickles():
    """Pickles whose persistent ids name the two records of `archive`."""
    both = {"w": tensor(shape=(2, 2), stride=(2, 1)), "x": tensor(**SECOND, shape=(8,))}
    hooked = {f"c.weight_{part}": tensor(shape=(2,)) for part in ("orig", "u", "v", "g")}
    optimizer = table((text("state"), b"}"), (text("param_groups"), b"]"))
    nested = pickle(
        table(
            (text("model"), ordered_dict() + b"(" + text("w") + tensor() + b"u}" + text("_metadata")
             + b"}" + text("") + b"}" + text("version") + b"K\x02sssb"),
            (integer(7), b"](" + tensor() + b"\x88" + b"G" + bytes(8) + text("x") + b"e"),
            (row(integer(1), text("k")), parameter(tensor(shape=(2, 2), stride=(1, 2)))),
            (text("opt"), optimizer),
            (text("raw"), name("_codecs", "encode") + row(text("\xff"), text("latin1")) + b"R"),
        )
    )  # fmt: skip
    foreign = pickle(
        table(
            (text("a"), tensor()),
            (text("r"), name("os", "system") + row(text("id")) + b"R}" + text("s") + tensor()
             + b"sb"),
            (text("n"), name("argparse", "Namespace") + b")\x81}" + text("lr") + b"K\x01sb"),
        )
    )  # fmt: skip
    plain = {
        "epoch": 3,
        "items": [1, (2.5, None), {"a"}, frozenset(["b"]), b"raw", bytearray(b"x")],
    }
    four = standard_pickle.dumps(plain, 4)
    five = standard_pickle.dumps(plain, 5)
    tables = [hostile.state_dict(**both), hostile.state_dict(**hooked), nested, foreign]
    return (*tables, four, five)


@cache
def zips():
    """Archives: as torch writes them, by hand, with zip64 fields, of TorchScript."""
    hand = [archive(data_pkl) for data_pkl in pickles()[:4]]
    script = archive(pickles()[0], **{"constants.pkl": pickle(b")"), "code/x.py": b"pass"})
    big = zipped({"data.pkl": pickles()[0], "byteorder": b"big", **records()})
    return (*hand, script, big, zip64(pickles()[0]), saved(model()),
                  saved({"G": model(), "epoch": 1}, pickle_protocol=4))  # fmt: skip


def records():
    return {f"data/{key}": content for key, content in RECORDS.items()}


def zip64(data_pkl):
    """The archive as zipfile writes it when it is told that an entry may be large."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for key, content in {"data.pkl": data_pkl, **records()}.items():
            entry = zipfile.ZipInfo(f"archive/{key}")
            with packed.open(entry, "w", force_zip64=True) as file:
                file.write(content)
    return buffer.getvalue()


@cache
def legacies():
    """Legacy files: by hand, and as torch writes them."""
    one = hostile.state_dict(a=legacy_tensor(), b=legacy_tensor(shape=(2, 2), stride=(2, 1)))
    two = hostile.state_dict(a=legacy_tensor(), b=legacy_tensor("1", "HalfStorage", 8, (8,)))
    by_torch = saved(model(), _use_new_zipfile_serialization=False)
    return legacy(one), legacy(two, keys=("1", "0")), legacy(pickle(b"}"), keys=()), by_torch


@cache
def safetensors_files():
    """Files of the library: several dtypes, no tensors, metadata, a state dict with norms."""
    several = {
        "w": torch.arange(6.0).reshape(2, 3), "h": torch.zeros(2, dtype=torch.bfloat16),
        "n": torch.zeros(0, 3), "s": torch.tensor(1, dtype=torch.int64),
    }  # fmt: skip
    metadata = {"format": "pt", "normcli.state_metadata": '{"":{"":{"version":1}}}'}
    packed = safetensors.torch.save(several, metadata)
    state = {key: value.contiguous().clone() for key, value in model().items()}
    return packed, safetensors.torch.save(state), safetensors.torch.save({})


@cache
def indexes():
    """Indexes of the two shards in `SHARDS`, which hold `a` and `b`."""
    good = {"a": SHARDS[0], "b": SHARDS[1]}
    full = {"metadata": {"total_size": 16}, "weight_map": good}
    return tuple(json.dumps(each).encode() for each in (full, {"weight_map": {"a": SHARDS[0]}}))


def shards():
    """File name → bytes of the shards that the indexes name."""
    one, two = torch.ones(2), torch.zeros(1, 2)
    return {
        SHARDS[0]: safetensors.torch.save({"a": one}),
        SHARDS[1]: safetensors.torch.save({"b": two}),
    }


@cache
def arrays():
    """What numpy.save writes: several dtypes, orders and ranks."""
    made = [
        np.arange(6, dtype="<f4").reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=">i8").reshape(2, 3)),
        np.ones((2, 1, 2), "?"), np.ones((), "<c8"), np.ones(3, "u1"),
    ]  # fmt: skip
    return tuple(map(_array, made))


def _array(value):
    buffer = io.BytesIO()
    np.save(buffer, value)
    return buffer.getvalue()


@cache
def baselines():
    """A baseline of two weights, and an empty one."""
    weights = {
        "fc.weight": {"shape": [2, 3], "dtype": "float32", "frobenius": 1.5, "stable_rank": 1.0},
        "G/c.weight": {"shape": [4, 2], "dtype": "bfloat16", "state": "spectral legacy",
                       "frobenius": "nan", "spectral_norm": "inf"},
    }  # fmt: skip
    head = {"schema": "normcli.baseline", "schema_version": 1}
    files = ({"model.pt": weights}, {})
    return tuple(json.dumps({**head, "checkpoints": each}).encode() for each in files)


@cache
def reports():
    """A report with every field that a reader looks at."""
    state = {"family": "spectral", "layout": "legacy", "dim": 0, "sigma_stored": 1.5, "u_norm": 1.0,
             "v_norm": "nan", "original_spectral_norm": 1.6, "staleness": 0.1}  # fmt: skip
    sigma = {"value": 1.0, "lower": 1.0, "upper": 1.1, "failure_probability": 1e-10,
             "method": "block-lanczos", "passes": 3}  # fmt: skip
    power = {"value": 1.0, "iterations": 1, "start": "stored", "relative_error": 0.1}
    weight = {"name": "G/w", "shape": [2, 3], "dtype": "float32", "parameters": 6, "nan": 0,
              "matrix_shape": [2, 3], "inf": 0, "zero_rows": 0, "frobenius": "inf", "notes": [],
              "state": {**state, "stack": [state]}, "spectral_norm": sigma, "stable_rank": 1.0,
              "power_iteration": power, "overflow": [{"dtype": "float16", "count": 1,
              "largest": 7e4, "first": [0, 1]}]}  # fmt: skip
    checkpoint = {"path": "m.pt", "format": "torch-zip", "bytes": 10, "sha256": "00",
                  "weights": [weight], "skipped": [{"name": "x", "reason": "y"}], "notes": ["n"],
                  "opaque": [{"what": "os.system", "count": 1, "place": "a"}]}  # fmt: skip
    whole = {"schema": "normcli.report", "schema_version": 1, "checkpoints": [checkpoint]}
    return (json.dumps(whole).encode(),)
