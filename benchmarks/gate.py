"""Does a gate pay only for what its policy demands?

Writes one checkpoint of float32 weights as safetensors, and runs in turn: the pass of ‖W‖_F
(`normcli inspect --metrics frobenius`), `normcli check` with a policy of the rule `finite` alone,
one of header rules alone, and the built-in policy. Exits with 1 where `finite` takes more than
1.3 × the pass of ‖W‖_F.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from processes import interleaved, normcli, run
from rewriting import weight_shapes

MB = 1e6
LIMIT = 1.3
POLICIES = {
    "finite": 'schema = 1\n[[demand]]\nrule = "finite"\n',
    "header": 'schema = 1\n[[demand]]\nrule = "dtype"\ndtype = "float32"\n',
}


def write_checkpoint(path: Path, size: float) -> None:
    """Write so many bytes of float32 weights."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    tensors = {
        f"layers.{number}.weight": torch.randn(shape)
        for number, shape in enumerate(weight_shapes(size))
    }
    save_file(tensors, path, metadata={"format": "pt"})


def commands(path: Path) -> dict[str, list[str]]:
    """The commands that are compared."""
    found = {
        "frobenius": normcli("inspect", "--metrics", "frobenius", "--format", "plain", str(path))
    }
    for name, text in POLICIES.items():
        policy = path.with_name(f"{name}.toml")
        policy.write_text(text)
        found[name] = normcli("check", "--policy", str(policy), str(path))
    return found | {"built-in": normcli("check", "--no-config", "--fail-on", "never", str(path))}


def main() -> None:
    """Write, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=4.0, help="GB of the checkpoint")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder without")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write is not None:
        write_checkpoint(options.write, options.size * 1e9)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        path = Path(name) / "plain.safetensors"
        # in a process of its own: a child's peak counts from that of its parent
        run([sys.executable, __file__, "--write", str(path), "--size", str(options.size)])
        results = interleaved(commands(path), options.rounds)
    base = results["frobenius"].seconds
    print(f"medians of {options.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    for what, result in results.items():
        ratio = result.seconds / base
        print(f"  {what:10} {result.seconds:7.2f} s  {ratio:5.2f} ×  {result.peak / MB:5.0f} MB")
    sys.exit(0 if results["finite"].seconds <= LIMIT * base else 1)


if __name__ == "__main__":
    main()
