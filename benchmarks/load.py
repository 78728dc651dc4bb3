"""Does time grow no faster than what a checkpoint holds?

Builds checkpoints of many tensors, many shards, one large tensor, many files and long names, each
in full and at half the size, and runs whole processes of normcli on both. Prints seconds on the
wall, seconds of the processor, peak memory, and the ratio full / half of the processor's seconds,
which others on the machine disturb least: 2 where time is linear, 4 where it is quadratic, less
where starting takes most of it. Exits with 1 where a ratio is above 3.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from processes import Run, normcli, run

if TYPE_CHECKING:
    from collections.abc import Iterator

MB = 1e6
LIMIT = 3.0
FROBENIUS = ("inspect", "--no-config", "--metrics", "frobenius", "--format", "plain")
CHECK = ("check", "--no-config", "--fail-on", "never")
COMMANDS = {
    "ls": ("ls", "--no-config", "--format", "plain"),
    "inspect": FROBENIUS,
    "check": CHECK,
    "check, sarif": (*CHECK, "--format", "sarif"),
    "check, each shard": CHECK,
    "convert": ("convert", "--no-config"),
    "inspect, 256 MB": (*FROBENIUS, "--memory", "256MB"),
    "convert, 256 MB": ("convert", "--no-config", "--memory", "256MB"),
}


@dataclass(frozen=True, kw_only=True)
class Load:
    """One kind of checkpoint and what is run on it.

    Attributes:
        build: A name of `loads.BUILDERS`.
        suffix: Of the checkpoint; empty for a folder.
        full: How many of what the load is made of.
        commands: Names of `COMMANDS`.
    """

    build: str
    suffix: str
    full: int
    commands: tuple[str, ...]


LOADS = {
    "100,000 tensors, .safetensors": Load(
        build="tensors",
        suffix=".safetensors",
        full=100_000,
        commands=("ls", "inspect", "check", "convert"),
    ),
    "100,000 tensors, .pt": Load(
        build="tensors",
        suffix=".pt",
        full=100_000,
        commands=("ls", "inspect", "check", "convert"),
    ),
    "45,000 matrices in 60 shards": Load(
        build="shards",
        suffix="",
        full=60,
        commands=("inspect", "check", "check, each shard"),
    ),
    "one tensor of 1 GB": Load(
        build="large",
        suffix=".safetensors",
        full=1_000_000_000,
        commands=("inspect, 256 MB", "convert, 256 MB"),
    ),
    "200 files": Load(build="files", suffix="", full=200, commands=("inspect", "check")),
    "2,000 names of 10,000 characters": Load(
        build="names",
        suffix=".safetensors",
        full=2_000,
        commands=("ls", "inspect", "check, sarif"),
    ),
}


def inputs(path: Path, load: Load, command: str) -> list[str]:
    """The checkpoints that a command is given."""
    if load.build == "files" or command == "check, each shard":
        return sorted(str(each) for each in path.glob("*.safetensors"))
    return [str(path)]


def run_once(path: Path, load: Load, command: str) -> Run:
    """Run one command; what it writes is removed."""
    line = normcli(*COMMANDS[command], *inputs(path, load, command))
    if not command.startswith("convert"):
        return run(line)
    written = path.with_name("written.pt" if path.suffix == ".safetensors" else "w.safetensors")
    result = run([*line, "--quiet", "--output", str(written)])
    written.unlink()
    return result


def results(folder: Path, load: Load) -> Iterator[tuple[str, Run, Run]]:
    """Each command of a load with its run at half the size and in full."""
    paths = []
    for what, size in (("half", load.full // 2), ("full", load.full)):
        path = folder / f"{what}{load.suffix}"
        # in a process of its own: a child's peak counts from that of its parent
        run([sys.executable, __file__, "--write", str(path), load.build, str(size)])
        paths.append(path)
    for command in load.commands:
        half, full = (run_once(path, load, command) for path in paths)
        yield command, half, full


def main() -> None:
    """Write, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="loads whose name holds this")
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder without")
    parser.add_argument("--write", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write is not None:
        from loads import BUILDERS  # torch: not in the process that the others count from

        path, build, size = options.write
        BUILDERS[build](Path(path), int(size))
        return
    worst = 0.0
    print("| load | command | wall | cpu | cpu, half | ratio | peak |")
    print("|---|---|--:|--:|--:|--:|--:|", flush=True)
    for name in (name for name in LOADS if options.only in name):
        folder = Path(tempfile.mkdtemp(dir=options.folder))
        try:
            for command, half, full in results(folder, LOADS[name]):
                ratio = full.cpu / half.cpu
                worst = max(worst, ratio)
                times = f"{full.seconds:.1f} s | {full.cpu:.1f} s | {half.cpu:.1f} s"
                figures = f"{times} | {ratio:.2f} | {full.peak / MB:.0f} MB"
                print(f"| {name} | {command} | {figures} |", flush=True)
        finally:
            shutil.rmtree(folder)
    print(f"\nlargest ratio {worst:.2f}, load {os.getloadavg()[0]:.1f}")
    sys.exit(0 if worst <= LIMIT else 1)


if __name__ == "__main__":
    main()
