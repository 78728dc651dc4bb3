"""Bytes of legacy torch files, rule by rule: five pickles, then the storages."""

from __future__ import annotations

import struct

import hostile
from hostile import integer, name, ordered_dict, pickle, row, table, text

MAGIC = pickle(integer(0x1950A86A20F9469CFC6C))
PROTOCOL = pickle(integer(1001))
SYSTEM = pickle(table((text("little_endian"), b"\x88")))


def stored(key="0", numel=4, view=b"N", kind="FloatStorage"):
    return row(
        text("storage"), name("torch", kind), text(key), text("cpu"), integer(numel), view
    ) + b"Q"  # fmt: skip


def tensor(storage=None, *, shape=(4,), stride=(1,), start=0):
    arguments = (
        storage or stored(), integer(start), hostile.integers(shape), hostile.integers(stride),
        b"\x89", ordered_dict(),
    )  # fmt: skip
    return name("torch._utils", "_rebuild_tensor_v2") + row(*arguments) + b"R"


def keys(*names):
    return pickle(b"](" + b"".join(map(text, names)) + b"e")


def data(count=4, content=bytes(16)):
    return struct.pack("<q", count) + content


def legacy(main, tail, *, magic=MAGIC, protocol=PROTOCOL, system=SYSTEM):
    return magic + protocol + system + main + tail


ONE = hostile.state_dict(a=tensor())
TWO = hostile.state_dict(a=tensor(), b=tensor(stored("1")))
