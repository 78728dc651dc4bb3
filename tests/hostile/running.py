"""A case in a process of its own: limited, watched, and what it gave."""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import hostile
from cases import NOTED, READ, REFUSED

if TYPE_CHECKING:
    from cases import Case

DRIVER = Path(__file__).with_name("driver.py")


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        code: Exit code; negative for a signal, -14 for one that took too long.
        stdout, stderr: What it wrote.
        seconds: CPU time of the process.
        megabytes: Its peak of resident memory.
        events: Audit events that normcli does not cause of itself.
        marked: Whether the file `marker` was made, which hostile files try to make.
        paths: The files, relative to the folder of the case.
    """

    code: int
    stdout: str
    stderr: str
    seconds: float
    megabytes: float
    events: tuple[str, ...]
    marked: bool
    paths: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`, or the exit code where there is none."""
        if self.code == 0:
            return NOTED if self.notes else READ
        return REFUSED if self.code == 2 else f"exit {self.code}"

    @property
    def errors(self) -> list[str]:
        """The messages, one of each refused file."""
        start = "normcli: "
        lines = self.stderr.splitlines()
        return [line.removeprefix(start) for line in lines if line.startswith(start)]

    @property
    def notes(self) -> list[str]:
        """Every note, and every reason for which a tensor was left out, in order."""
        found = []
        for checkpoint in json.loads(self.stdout)["checkpoints"]:
            found += checkpoint["notes"]
            found += [f"{each['name']}: {each['reason']}" for each in checkpoint.get("skipped", ())]
            found += [note for weight in checkpoint["weights"] for note in weight.get("notes", ())]
        return found


def run(case: Case, folder: Path, *, optimized: bool = False) -> Outcome:
    """Build a case below the folder and run it there; `optimized` as `python -O` does."""
    inside, scratch = (folder / name for name in ("case", "scratch"))
    for each in (inside, scratch):
        each.mkdir()
    built = case.build(inside)
    paths = [built] if isinstance(built, Path) else list(built)
    names = [str(path.relative_to(inside)) for path in paths]
    return run_in(inside, scratch, case.arguments, names, optimized=optimized)


def run_in(
    folder: Path,
    scratch: Path,
    arguments: tuple[str, ...],
    paths: list[str],
    *,
    control: bool = False,
    optimized: bool = False,
) -> Outcome:
    """Run a command line on paths below a folder; `control` loads them with torch instead."""
    torch = control or arguments[0] not in ("ls", "explain")
    request = {
        "arguments": arguments,
        "paths": paths,
        "folder": str(folder),
        "scratch": str(scratch),
        "warm": warm(scratch),
        "control": control,
    }
    used = _answer(_server(torch=torch, optimized=optimized), request)
    events = scratch / "events"
    return Outcome(
        **used,
        stdout=_text(scratch / "stdout"),
        stderr=_text(scratch / "stderr"),
        events=tuple(_text(events).splitlines()),
        marked=(folder / "marker").exists(),
        paths=tuple(paths),
    )


@cache
def idle_megabytes(command: str, folder: Path) -> float:
    """Peak of a run of the command that has next to nothing to do; 0 where torch stays out."""
    if command == "ls":
        return 0.0
    scratch = folder / f"idle-{command}"
    scratch.mkdir(exist_ok=True)
    arguments = (command, "--no-config", "--format", "json")
    return run_in(scratch, scratch, arguments, [warm(scratch)[0]]).megabytes


def warm(folder: Path) -> list[str]:
    """Files on which a command is run before it is watched: two that are read, one refused."""
    torch_file, flat, refused = (folder / name for name in ("warm.pt", "warm.safetensors", "warm"))
    torch_file.write_bytes(
        hostile.archive(hostile.state_dict(a=hostile.tensor(shape=(2, 2), stride=(2, 1))))
    )
    header = b'{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}'
    flat.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    refused.write_bytes(b"no checkpoint")
    return [str(torch_file), str(flat), str(refused)]


@cache
def _server(*, torch: bool, optimized: bool) -> subprocess.Popen:
    """Lives as long as the tests; ends with its standard input."""
    flags = ["-W", "ignore", *(["-O"] if optimized else [])]
    command = [sys.executable, *flags, str(DRIVER), "torch" if torch else "plain"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(server.communicate)
    return server


def _answer(server: subprocess.Popen, request: dict) -> dict:
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    line = server.stdout.readline()
    assert line, "the driver has ended"
    return json.loads(line)


def _text(path: Path) -> str:
    return path.read_text("utf-8", "surrogateescape") if path.exists() else ""
