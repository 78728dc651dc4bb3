"""Bytes of files that torch would never write: a small pickle assembler and a zip packer."""

from __future__ import annotations

import io
import struct
import zipfile


def text(value):
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def integer(value):
    if 0 <= value < 256:
        return b"K" + bytes([value])
    raw = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def name(module, attribute):
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def row(*values):
    """A tuple of assembled values."""
    return b"(" + b"".join(values) + b"t"


def integers(numbers):
    return row(*map(integer, numbers))


def table(*pairs):
    """A dict of assembled keys and values."""
    return b"}(" + b"".join(part for pair in pairs for part in pair) + b"u"


def storage(key="0", kind="FloatStorage", numel=4):
    return row(text("storage"), name("torch", kind), text(key), text("cpu"), integer(numel)) + b"Q"


def ordered_dict():
    return name("collections", "OrderedDict") + b")R"


def tensor(
    *, key="0", kind="FloatStorage", numel=4, start=0, shape=(4,), stride=(1,), metadata=None
):
    arguments = [
        storage(key, kind, numel), integer(start), integers(shape), integers(stride), b"\x89",
        ordered_dict(),
    ]  # fmt: skip
    if metadata is not None:
        arguments.append(metadata)
    return name("torch._utils", "_rebuild_tensor_v2") + row(*arguments) + b"R"


def pickle(value):
    return b"\x80\x02" + value + b"."


def state_dict(**tensors):
    return pickle(table(*((text(key), value) for key, value in tensors.items())))


def archive(data_pkl, records=None, *, top="archive", byteorder=b"little", extra=()):
    """A zip file as torch.save lays it out; four float32 in storage 0 if nothing else is said."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr(f"{top}/data.pkl", data_pkl)
        if byteorder is not None:
            packed.writestr(f"{top}/byteorder", byteorder)
        for key, content in (records or {"0": bytes(16)}).items():
            packed.writestr(f"{top}/data/{key}", content)
        packed.writestr(f"{top}/version", b"3\n")
        for entry, content in extra:
            packed.writestr(entry, content)
    return buffer.getvalue()
