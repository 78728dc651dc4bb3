"""Does `normcli inspect --metrics frobenius` keep up with a plain loop, and within its memory?

Writes a sharded checkpoint into a temporary folder, reads it once so that it is warm, and runs
three processes in turn: normcli; a loop that reads by pread into one reused buffer and sums squares
in float64; and a loop over safetensors' own reader with `torch.linalg.vector_norm` (float32 sums,
so less exact). Exits with 1 where normcli's peak is above 350 MB + 3 × the largest tensor.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processes import interleaved, normcli, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

MB = 1e6
LIMIT = 350 * MB  # of the process itself: Python and torch, before any tensor
TENSORS_IN_MEMORY = 3  # the one that is measured, the next one, and what is made of them
SHAPES = ((4096, 11008), (4096, 4096), (11008, 4096), (8192, 4096), (6144, 4096))
BUFFER = 16 * 1024 * 1024  # bytes of one pread
PANEL = 128 * 1024  # entries converted to float64 at a time


def write_checkpoint(folder: Path, *, size: float, shards: int, dtype: str) -> None:
    """Write shards of `size` bytes together, and their index."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    weight_map: dict[str, str] = {}
    for shard in range(1, shards + 1):
        name = f"model-{shard:05d}-of-{shards:05d}.safetensors"
        tensors: dict[str, Tensor] = {}
        total = 0
        while total < size / shards:
            shape = SHAPES[len(tensors) % len(SHAPES)]
            weight = torch.randn(shape).to(getattr(torch, dtype))
            tensors[f"layers.{shard}.{len(tensors)}.weight"] = weight
            total += weight.nbytes
        save_file(tensors, folder / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, name)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def headers(folder: Path) -> Iterator[tuple[Path, int, dict[str, dict[str, Any]]]]:
    """Each shard with where its data begins and its header."""
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        yield path, 8 + length, header


def by_pread(folder: Path) -> Iterator[float]:
    """‖W‖_F of every tensor: one reused buffer, float64 panels, one thread of our own."""
    import numpy as np
    import torch

    torch.set_num_threads(1)  # panels are too small to be worth a second one
    dtypes = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
    buffer = np.empty(BUFFER, dtype=np.uint8)
    for path, start, header in headers(folder):
        with path.open("rb") as file:
            for entry in header.values():
                first, last = entry["data_offsets"]
                total = 0.0
                for offset in range(first, last, BUFFER):
                    count = min(BUFFER, last - offset)
                    os.preadv(file.fileno(), [memoryview(buffer)[:count]], start + offset)
                    entries = torch.from_numpy(buffer[:count]).view(dtypes[entry["dtype"]])
                    for panel in entries.split(PANEL):
                        wide = panel.double()
                        total += torch.dot(wide, wide).item()
                yield math.sqrt(total)


def by_safe_open(folder: Path) -> Iterator[float]:
    """‖W‖_F of every tensor: safetensors' reader, torch's norm in the stored dtype."""
    import torch
    from safetensors import safe_open

    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118  it is no dictionary
                yield torch.linalg.vector_norm(file.get_tensor(name)).item()


LOOPS = {"pread": by_pread, "safe_open": by_safe_open}


def compare(options: argparse.Namespace, folder: Path) -> int:
    """Write, run, print; gives the exit code.

    The writer is a process of its own: what starts the others must stay small, because the peak
    of a process counts what it was forked from.
    """
    run([sys.executable, __file__, *sys.argv[1:], "--write", str(folder)])
    offsets = [e["data_offsets"] for *_, header in headers(folder) for e in header.values()]
    largest = max(last - first for first, last in offsets)
    inspect = ("inspect", "--metrics", "frobenius", "--format", "jsonl", str(folder))
    commands = {"normcli inspect": normcli(*inspect, *options.with_option)}
    for name in LOOPS:
        commands[f"{name} loop"] = [sys.executable, __file__, "--loop", name, str(folder)]
    results = interleaved(commands, options.rounds)
    total = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    print(f"{total / 1e9:.2f} GB of {options.dtype} in {options.shards} shards, warm")
    print(f"largest tensor {largest / MB:.0f} MB; medians of {options.rounds} rounds")
    print(f"{'':16} {'seconds':>8} {'GB/s':>6} {'peak MB':>8} {'normcli/it':>11}")
    ours = results["normcli inspect"]
    for name, each in results.items():
        rate, ratio = total / 1e9 / each.seconds, ours.seconds / each.seconds
        print(f"{name:16} {each.seconds:8.2f} {rate:6.2f} {each.peak / MB:8.0f} {ratio:11.2f}")
    limit = LIMIT + TENSORS_IN_MEMORY * largest
    kept = ours.peak <= limit
    print(f"memory: {ours.peak / MB:.0f} MB of {limit / MB:.0f} MB: {'kept' if kept else 'broken'}")
    return 0 if kept else 1


def main() -> int:
    """Compare the three, or be one of the loops."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=float, default=4.0, help="gigabytes (10⁹) in all")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="where the temporary folder is made")
    parser.add_argument(
        "--with-option", action="append", default=[], help="a further option of normcli inspect"
    )
    parser.add_argument("--loop", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--write", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        size = options.size * 1e9
        write_checkpoint(Path(options.write), size=size, shards=options.shards, dtype=options.dtype)
        return 0
    if options.loop:
        for norm in LOOPS[options.loop[0]](Path(options.loop[1])):
            print(norm)
        return 0
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="normcli-benchmark-") as folder:
        return compare(options, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
