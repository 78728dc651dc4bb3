"""Does rewriting a checkpoint take little more than copying it, and little memory?

Writes one checkpoint of float32 weights with spiked spectra as safetensors and as a torch file,
then runs in turn: `cp` and a sync of the copy, a conversion of every spectral norm to the other
layout, the pass of σ₁ over every weight (`normcli inspect --metrics spectral_norm`), and
`normcli apply --spectral`. Every output is synced to the disk, the copy of `cp` included. Exits
with 1 where a peak is above 500 MB + 4 × the largest tensor, or a time above 2 × `cp` (plus the
pass of σ₁ for `apply`).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from processes import interleaved, normcli, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processes import Run

MB = 1e6
BASE = 500 * MB
TENSORS_IN_MEMORY = 4
TIMES_CP = 2.0
EMBEDDING = (32000, 2048)  # 262 MB: the largest tensor
SHAPES = ((2048, 2048), (5632, 2048), (2048, 5632), (4096, 4096))


def weight_shapes(size: float) -> Iterator[tuple[int, int]]:
    """Shapes of float32 matrices of so many bytes together."""
    yield EMBEDDING
    total, number = 4 * EMBEDDING[0] * EMBEDDING[1], 0
    while total < size:
        shape = SHAPES[number % len(SHAPES)]
        yield shape
        total += 4 * shape[0] * shape[1]
        number += 1


def write_checkpoints(folder: Path, size: float) -> None:
    """Write `plain.safetensors` and `plain.pt`, the same tensors."""
    import torch
    from matrices import spiked
    from safetensors.torch import save_file

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    tensors = {
        f"layers.{number}.weight": spiked(*shape, generator, torch.float32)
        for number, shape in enumerate(weight_shapes(size))
    }
    save_file(tensors, folder / "plain.safetensors", metadata={"format": "pt"})
    torch.save(tensors, folder / "plain.pt")


def prepared(folder: Path, suffix: str) -> dict[str, list[str]]:
    """The commands for one format, its spectral norms applied once for the conversion."""
    plain, normed = folder / f"plain{suffix}", folder / f"normed{suffix}"
    out = str(folder / f"out{suffix}")
    run(normcli("apply", "--spectral", "-q", "--force", "-o", str(normed), str(plain)))
    return {
        "cp": ["cp", str(normed), out],
        "cp and sync": ["sh", "-c", 'cp "$0" "$1" && sync "$1"', str(normed), out],
        "convert": normcli(
            "convert", "--layout", "legacy", "-q", "--force", "-o", out, str(normed)
        ),
        "σ₁ pass": normcli(
            "inspect", "--metrics", "spectral_norm", "--format", "jsonl", str(plain)
        ),
        "apply": normcli("apply", "--spectral", "-q", "--force", "-o", out, str(plain)),
    }


def judged(results: dict[str, Run], suffix: str, rounds: int) -> bool:
    """Print one format's figures; gives whether all limits hold."""
    copy, sigma = results["cp and sync"].seconds, results["σ₁ pass"].seconds
    limits = {"convert": TIMES_CP * copy, "apply": TIMES_CP * copy + sigma}
    largest = 4 * EMBEDDING[0] * EMBEDDING[1]
    memory = BASE + TENSORS_IN_MEMORY * largest
    print(f"{suffix}, medians of {rounds} rounds, load {os.getloadavg()[0]:.1f}")
    good = True
    for name, result in results.items():
        line = f"  {name:12} {result.seconds:7.2f} s  peak {result.peak / MB:5.0f} MB"
        if name in limits:
            limit = limits[name]
            line += f"  of {limit:.2f} s and {memory / MB:.0f} MB"
            line += f"  ({(result.seconds - (name == 'apply') * sigma) / copy:.2f} × cp)"
            good &= result.seconds <= limit and result.peak <= memory
        print(line)
    return good


def main() -> None:
    """Write, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=4.0, help="GB of one checkpoint")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder without")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write is not None:
        write_checkpoints(options.write, options.size * 1e9)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        # In a process of its own: a child's peak counts from that of its parent.
        run([sys.executable, __file__, "--write", name, "--size", str(options.size)])
        good = True
        for suffix in (".safetensors", ".pt"):
            results = interleaved(prepared(folder, suffix), options.rounds)
            good &= judged(results, suffix, options.rounds)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
