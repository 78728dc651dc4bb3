"""Bytes of safetensors files that no library would write."""

from __future__ import annotations

import json
import struct


def packed(header, data=b"", *, length=None):
    """The length, the header and the data; a `length` that lies where one is given."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def entry(begin, end, shape, dtype="F32", **more):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end], **more}


def empty_tensors(count):
    """A file of so many tensors without elements."""
    lines = (b'"t%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % n for n in range(count))
    return packed(b"{" + b",".join(lines) + b"}")


GOOD = {"a": entry(0, 8, [2]), "b": entry(8, 12, [])}
