"""Targets of fuzzing: a reader each, which may raise CheckpointError or UsageError and no more."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import fuzz_seeds as seeds
import torch
from fuzz_mutators import grown, mutated, repacked, repaired, stored, strung
from hostile import pickle, text

from normcli.commands.choice import listed
from normcli.errors import CheckpointError, UsageError
from normcli.formats import open_checkpoint
from normcli.formats.source import Source
from normcli.gate.baseline import read_baseline
from normcli.gate.reading import read_reports
from normcli.initialization.npy import read_npy

if TYPE_CHECKING:
    from collections.abc import Callable

torch.set_num_threads(1)

ALLOWED = (CheckpointError, UsageError)
_SHARED = Path("/dev/shm")  # memory, where the system has it


@dataclass(frozen=True)
class Corpus:
    """What a mutator draws from: whole files, words to put in, and whether they are text."""

    seeds: tuple[bytes, ...] = ()
    words: tuple[bytes, ...] = (b"\0", b"\xff")
    tokens: bool = False
    pickles: tuple[bytes, ...] = ()
    parts: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Target:
    """A reader under fuzz: `run` opens what `make` builds, and raises nothing but `ALLOWED`."""

    name: str
    run: Callable[[bytes], None]
    make: Callable[[Random, Corpus], bytes]
    corpus: Corpus

    def case(self, seed: int, number: int) -> bytes:
        """The input of that number: the same bytes whenever it is asked for."""
        return self.make(Random(f"{self.name} {seed} {number}"), self.corpus)


@cache
def _folder(_pid: int) -> Path:
    """A folder of this process, with the shards that an index may name."""
    folder = Path(tempfile.mkdtemp(dir=_SHARED if _SHARED.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for shard, content in seeds.shards().items():
        (folder / shard).write_bytes(content)
    return folder


def remove_folder() -> None:
    """What a process that ends without its exit handlers calls."""
    shutil.rmtree(_folder(os.getpid()), ignore_errors=True)


def _written(data: bytes) -> str:
    path = _folder(os.getpid()) / "case"
    path.write_bytes(data)
    return str(path)


def read_checkpoint(data: bytes) -> None:
    """Open it, look at all of the header, read every tensor, parse it again as a tree."""
    with open_checkpoint(_written(data), allow_opaque=True) as checkpoint:
        listed(checkpoint, (), (), everything=True)
        for key in checkpoint.tensors:
            checkpoint.read(key)
        checkpoint.leftovers()


def read_pickle(data: bytes) -> None:
    """As `read_checkpoint`, packed as torch packs it, so that the CRC is right."""
    read_checkpoint(seeds.archive(data))


def read_array(data: bytes) -> None:
    """An .npy file."""
    source = Source(_written(data))
    try:
        read_npy(source)
    finally:
        source.close()


def read_with(read: Callable[[str], object], data: bytes) -> None:
    """A file of the gate."""
    read(_written(data))


_JSON_WORDS = (
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"null", b"true", b"-1", b"0", b"1e400", b"1.5",
    b"NaN", b"-Infinity", b"9" * 25, b"9" * 5000, b'""', b'"\\ud800"', b'"\\u0000"', b'"a"',
    b'"nan"', b"\\u0061", b"[" * 3000, b'"../x"', b'"/etc/passwd"', b'"case"', b"{}", b"[]",
    b'"__metadata__"', b'"F32"', b"18446744073709551616", b"4611686018427387904", b"\xef\xbb\xbf",
    b'"a":1,', b'"shape":[],', b"[1.0]", b"[-1]", b"[true]", b'"weight_map"', b'"b.safetensors"',
)  # fmt: skip
_NPY_WORDS = (
    b"(", b")", b"'", b",", b"-", b"1e999", b"1j", b"'|O'", b"'<f99999999'", b"'>f8'", b"'<u2'",
    b"(" * 150, b"-" * 900, b"0x" + b"f" * 3900, b"9" * 3000, b"9" * 20, b"0,", b"None", b"{}",
    b"\\x00", b"'descr'", b"True", b"b''", b"\n", b"*[1]", b"lambda:0", b"f''", b"set()",
)  # fmt: skip
_PICKLE_WORDS = (
    b"2", b"0", b"1", b"(", b"t", b"R", b"b", b"\x81", b"\x93", b"\x94", b"]", b"}", b")", b".",
    b"h\0", b"K\xff", b"J\xff\xff\xff\xff", b"cos\nsystem\n", b"\x8a\xff", b"N", b"Q", b"u", b"e",
    b"ctorch\nBoolStorage\n", b"ctorch\nqint8\n", b"2\x86" * 60, b"]" * 3000, text("_metadata"),
)  # fmt: skip
_ZIP_WORDS = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"\x01\x00\x08\x00", b"../", b"/", b"\0")
_PARTS = (
    pickle(b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"), pickle(b"M\xe9\x03"), pickle(b"}"),
    seeds.hostile.state_dict(a=seeds.legacy_tensor()), pickle(b"](" + text("0") + b"e"),
)  # fmt: skip


def _targets() -> list[Target]:
    pickled = Corpus(seeds.pickles(), _PICKLE_WORDS)
    legacy = Corpus(seeds.legacies(), _PICKLE_WORDS)
    zipped = Corpus(seeds.zips(), _ZIP_WORDS, pickles=seeds.pickles())

    def text_of(files: tuple[bytes, ...], words: tuple[bytes, ...] = _JSON_WORDS) -> Corpus:
        return Corpus(files, words, tokens=True)

    return [
        Target("pickle-bytes", read_pickle, mutated, pickled),
        Target("pickle-opcodes", read_pickle, strung, pickled),
        Target("pickle-values", read_pickle, grown, pickled),
        Target("legacy-bytes", read_checkpoint, mutated, legacy),
        Target("legacy-pickles", read_checkpoint, stored, Corpus(parts=_PARTS)),
        Target("zip-bytes", read_checkpoint, mutated, zipped),
        Target("zip-entries", read_checkpoint, repacked, zipped),
        Target("safetensors", read_checkpoint, repaired, text_of(seeds.safetensors_files())),
        Target("index", read_checkpoint, mutated, text_of(seeds.indexes())),
        Target("npy", read_array, mutated, text_of(seeds.arrays(), _NPY_WORDS)),
        Target("baseline", partial(read_with, read_baseline), mutated, text_of(seeds.baselines())),
        Target("report", partial(read_with, read_reports), mutated, text_of(seeds.reports())),
    ]


TARGETS = {target.name: target for target in _targets()}
