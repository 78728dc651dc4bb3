"""Two readers of one file: where both read they are compared, where one does it is counted."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import fuzz_seeds
import torch
from fuzz_mutators import mutated
from fuzzing import TARGETS, Corpus
from reader_tests import raw_bytes

from normcli.errors import CheckpointError
from normcli.formats import open_checkpoint

MUTANTS = 600  # of each kind
SEED = 9
_PATIENCE = 60  # seconds for a batch
_VIEW = "a view of a storage"  # torch writes outside of its memory for some of these
_SIDE = Path(__file__).with_name("torch_side.py")


def packed(data_pkl):
    """An archive with the record of the format's version, which torch demands."""
    return fuzz_seeds.archive(data_pkl, version=b"3\n")


def cases():
    """The seeds, then mutants of archives, legacy files and pickles inside archives."""
    by_hand = tuple(map(packed, fuzz_seeds.pickles()))
    archives = Corpus((*by_hand, *fuzz_seeds.zips()), TARGETS["zip-bytes"].corpus.words)
    yield from archives.seeds
    yield from fuzz_seeds.legacies()
    yield from (mutated(Random(f"{SEED} {number}"), archives) for number in range(MUTANTS))
    for name in ("legacy-bytes", "legacy-pickles"):
        yield from (TARGETS[name].case(SEED, number) for number in range(MUTANTS))
    for name in ("pickle-bytes", "pickle-values"):
        yield from (packed(TARGETS[name].case(SEED, number)) for number in range(MUTANTS))


@dataclass
class Reading:
    """What normcli makes of a file: tensors and names that it skipped, or a refusal."""

    tensors: dict[str, list] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    refusal: str = ""


def read(path):
    """By normcli: every tensor, described as the other side describes it."""
    try:
        with open_checkpoint(path) as checkpoint:
            tensors = {name: described(checkpoint.read(name)) for name in checkpoint.tensors}
            return Reading(tensors, tuple(each.name for each in checkpoint.skipped))
    except CheckpointError as error:
        return Reading(refusal=error.message)


def described(tensor):
    """As `torch_side.described`."""
    sha256 = hashlib.sha256(raw_bytes(tensor)).hexdigest()
    return [str(tensor.dtype)[6:], list(tensor.shape), list(tensor.stride()), sha256]


def loaded(folder, count):
    """By torch: a result for each file; a process that dies of one is followed by another."""
    results = []
    while len(results) < count:
        left = count - len(results)
        command = [sys.executable, str(_SIDE), str(folder), str(len(results)), str(left)]
        died = "died"
        try:
            done = subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=False)
            output = done.stdout
        except subprocess.TimeoutExpired as late:
            output, died = late.stdout or b"", "hung"
        results += [json.loads(line) for line in output.splitlines() if line.endswith(b"}")]
        if len(results) < count:
            results.append({"error": died})
    return results


@dataclass
class Comparison:
    """Whatever both read alike, and why only one of the two reads the rest."""

    alike: int = 0
    neither: int = 0
    kept_back: int = 0
    reasons: Counter = field(default_factory=Counter)
    different: list[str] = field(default_factory=list)


def compare(folder):
    """All cases, written to a folder, read by both."""
    readings = []
    for number, data in enumerate(cases()):
        (folder / str(number)).write_bytes(data)
        readings.append(read(folder / str(number)))
        if _VIEW in readings[-1].refusal:
            (folder / str(number)).write_bytes(b"")
    result = Comparison()
    for number, (ours, theirs) in enumerate(
        zip(readings, loaded(folder, len(readings)), strict=True)
    ):
        _count(result, number, ours, theirs)
    return result


def _count(result, number, ours, theirs):
    error = theirs.get("error")
    if _VIEW in ours.refusal:
        result.kept_back += 1
    elif ours.refusal and error:
        result.neither += 1
    elif ours.refusal:
        result.reasons[masked(ours.refusal), "reads it"] += 1
    elif error:
        result.reasons["reads it", error] += 1
    else:
        result.alike += 1
        result.different += [f"{number}: {each}" for each in _differences(ours, theirs["tensors"])]


def _differences(ours, theirs):
    for name, tensor in ours.tensors.items():
        if theirs.get(name) != tensor:
            yield f"{name!r} is {tensor}, torch has {theirs.get(name)}"
    for name in theirs.keys() - ours.tensors.keys():
        if not any(name == each or name.startswith(each.rstrip("…")) for each in ours.skipped):
            yield f"{name!r} is in torch's reading alone"


_MASKS = (
    (r"'[^']*'", "'…'"),
    (r"plain data: .*", "plain data: …"),
    (r"calls \S+ with", "calls … with"),
    (r"start with [0-9a-f ]+", "start with …"),
    (r"CRC-32 [0-9a-f]+, expected .*", "another CRC-32"),
    (r"0x[0-9a-f]+", "N"),
    (r"-?2\^\d+ or more", "N"),
    (r"(?<![\w-])-?\d+\b", "N"),
)


def masked(message):
    """A message without what is of one file: quoted names, numbers, lists."""
    for pattern, mask in _MASKS:
        message = re.sub(pattern, mask, message, flags=re.DOTALL)
    return message.replace("|", "\\|")


def table(result):
    """The lines of the documentation: how many, then a row for each reason."""
    total = result.alike + result.neither + result.kept_back + sum(result.reasons.values())
    head = (
        f"{total} files, torch {torch.__version__.partition('+')[0]}: both read {result.alike}, "
        f"bit for bit alike; neither reads {result.neither}; {result.kept_back} are kept from "
        "torch (a view of a storage); the rest only one of the two reads:"
    )
    rows = [
        f"| {ours} | {theirs} | {count} |"
        for (ours, theirs), count in sorted(result.reasons.items())
    ]
    return "\n".join([head, "", "| normcli | torch.load | files |", "|---|---|---|", *rows])
