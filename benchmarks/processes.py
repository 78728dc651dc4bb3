"""Whole processes side by side: time and peak memory, interleaved, as medians."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Run:
    """One process from start to end.

    Attributes:
        seconds: On the wall.
        peak: Bytes of its peak resident set.
        cpu: Seconds of all its threads together, in user code and in the kernel.
    """

    seconds: float
    peak: int
    cpu: float


def run(command: Sequence[str]) -> Run:
    """Run a command with its output thrown away; its own failure ends the benchmark."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {process.returncode}")
    # Linux counts kilobytes, macOS bytes
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Run(seconds, peak, usage.ru_utime + usage.ru_stime)


def interleaved(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, Run]:
    """Median times and largest peak of each command; every round runs each of them once.

    Interleaving spreads whatever else the machine does over all of them. One round before those
    that count fills the page cache and the bytecode cache.
    """
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            result = run(command)
            if number:
                runs[name].append(result)
    return {
        name: Run(
            median(each.seconds for each in done),
            max(each.peak for each in done),
            median(each.cpu for each in done),
        )
        for name, done in runs.items()
    }


def normcli(*arguments: str) -> list[str]:
    """The command line of this interpreter's normcli."""
    return [sys.executable, "-m", "normcli", *arguments]
