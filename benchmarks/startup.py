"""Do `normcli --help` and `normcli ls` start without paying for torch?

Exits with 1 where one of them takes more than a third of the time of `import torch`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from processes import interleaved, normcli

SHARE = 1 / 3  # of the time that `import torch` takes


def main() -> int:
    """Run, print; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="normcli-benchmark-") as folder:
        path = Path(folder) / "x.safetensors"
        _write(path)
        results = interleaved(
            {
                "python -c 'import torch'": [sys.executable, "-c", "import torch"],
                "python -c pass": [sys.executable, "-c", "pass"],
                "normcli --help": normcli("--help"),
                "normcli ls FILE": normcli("ls", str(path)),
            },
            rounds,
        )
    torch = results["python -c 'import torch'"].seconds
    print(f"{'':26} {'ms':>6} {'of torch':>9} {'peak MB':>8}   medians of {rounds} rounds")
    for name, each in results.items():
        share = each.seconds / torch
        print(f"{name:26} {each.seconds * 1e3:6.0f} {share:9.2f} {each.peak / 1e6:8.0f}")
    slow = [
        name for name, each in results.items() if "normcli" in name and each.seconds > torch * SHARE
    ]
    print(f"limit {SHARE:.2f}: " + (f"broken by {', '.join(slow)}" if slow else "kept"))
    return 1 if slow else 0


def _write(path: Path) -> None:
    """200 small tensors, by hand: this process must stay smaller than those it starts."""
    size = 8 * 8 * 4
    header = {
        f"layers.{index}.weight": {
            "dtype": "F32",
            "shape": [8, 8],
            "data_offsets": [index * size, (index + 1) * size],
        }
        for index in range(200)
    }
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(200 * size))


if __name__ == "__main__":
    sys.exit(main())
