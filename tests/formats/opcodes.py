"""Pieces of pickles that a generator strings together: opcodes, names and whole values."""

from __future__ import annotations

import hostile
from hostile import name, ordered_dict, row, table, tensor, text

SNIPPETS = [
    b"N", b"(", b"t", b"]", b"}", b")", b"0", b"1", b"2", b"a", b"e", b"s", b"u", b"b", b"R",
    b"o", b"\x81", b"\x85", b"\x86", b"\x87", b"\x88", b"\x8f", b"\x90", b"\x91", b"\x92",
    b"\x93", b"\x94", b"Q", b"d", b"l", b"K\x01", b"q\x01", b"h\x01", b"h\x00", b"G" + bytes(8),
    text("a"), text("_metadata"), text("latin1"), row(text("a")), hostile.storage(), tensor(),
    tensor(shape=(2, 2), stride=(2, 1)), ordered_dict(), name("collections", "OrderedDict"),
    name("torch._utils", "_rebuild_tensor_v2"), name("torch._utils", "_rebuild_parameter"),
    name("torch._tensor", "_rebuild_from_type_v2"), name("torch", "FloatStorage"),
    name("torch", "Size"), name("torch", "device"), name("_codecs", "encode"),
    name("builtins", "set"), name("os", "system"), table((text("a"), tensor())),
]  # fmt: skip
