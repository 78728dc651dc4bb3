"""How a good file becomes a bad one: bytes, numbers at length fields, words, opcodes, entries."""

from __future__ import annotations

import re
import struct

from fuzz_seeds import RECORDS, SECOND, parameter, zipped
from hostile import integer, name, ordered_dict, pickle, row, table, tensor, text
from opcodes import SNIPPETS

NUMBERS = (0, 1, 2, 3, 7, 8, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1,
           2**63, 2**64 - 1)  # fmt: skip
_ZIP_FIELDS = {
    b"PK\x03\x04": ((6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)),
    b"PK\x01\x02": ((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (42, 4)),
    b"PK\x05\x06": ((4, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
    b"PK\x06\x06": ((4, 8), (24, 8), (32, 8), (40, 8), (48, 8)),
    b"PK\x06\x07": ((4, 4), (8, 8), (16, 4)),
}
_TOKEN = re.compile(rb'"[^"]*"|-?\d[\d.eE+-]*|true|false|null|[][{},:()]')


def _place(random, data):
    return random.randrange(len(data) + 1)


def _flip(random, data, _):
    at = random.randrange(len(data))
    data[at] ^= 1 << random.randrange(8)


def _set(random, data, _):
    data[random.randrange(len(data))] = random.randrange(256)


def _insert(random, data, corpus):
    at = _place(random, data)
    data[at:at] = random.choice(corpus.words) if random.random() < 0.7 else random.randbytes(2)


def _delete(random, data, _):
    at = random.randrange(len(data))
    del data[at : at + random.choice((1, 1, 2, 8, 40))]


def _duplicate(random, data, _):
    at = random.randrange(len(data))
    piece = data[at : at + random.choice((1, 4, 16, 64))]
    to = _place(random, data)
    data[to:to] = piece * random.choice((1, 1, 2, 50))


def _truncate(random, data, _):
    del data[random.randrange(len(data)) :]


def _splice(random, data, corpus):
    other = random.choice(corpus.seeds)
    at = random.randrange(len(data))
    data[at:] = other[random.randrange(len(other) + 1) :]


def _number(random, data, _):
    """A number that programs trip over, written over a field or over any bytes."""
    fields = _fields(bytes(data)) if random.random() < 0.7 else ()
    at, size = random.choice(fields or ((_place(random, data), random.choice((1, 2, 4, 8))),))
    value = random.choice(NUMBERS)
    if fields and random.random() < 0.5:  # near what stands there
        value = int.from_bytes(data[at : at + size], "little") + random.choice((-8, -1, 1, 4))
    data[at : at + size] = (value % 256**size).to_bytes(size, "little")


def _token(random, data, corpus):
    """A token of JSON or of a Python literal, in another's place."""
    tokens = [match.span() for match in _TOKEN.finditer(data)]
    if tokens:
        start, end = random.choice(tokens)
        other = _TOKEN.findall(random.choice(corpus.seeds)) if random.random() < 0.6 else ()
        data[start:end] = random.choice(other or corpus.words)


def _fields(data):
    """(offset, size) of the numbers of a zip archive, a safetensors file or a numpy array."""
    if data.startswith(b"PK"):
        return _zip_fields(data)
    if data.startswith(b"\x93NUMPY"):
        return ((6, 1), (7, 1), (8, 2))
    if data[8:9] == b"{":
        return ((0, 8),)
    return _pickle_fields(data) if data.startswith(b"\x80") else ()


def _zip_fields(data):
    found = []
    for match in re.finditer(rb"PK(?:\x03\x04|\x01\x02|\x05\x06|\x06\x06|\x06\x07)", data):
        found += [(match.start() + at, size) for at, size in _ZIP_FIELDS[match.group()]]
    return [(at, size) for at, size in found if at + size <= len(data)]


_OPERANDS = {b"K": 1, b"M": 2, b"J": 4, b"X": 4, b"\x8a": 1, b"q": 1, b"h": 1, b"\x8c": 1, b"B": 4}
_OPCODE = re.compile(b"|".join(map(re.escape, _OPERANDS)))


def _pickle_fields(data):
    """Behind every byte that may be an opcode with a number."""
    found = [(match.end(), _OPERANDS[match.group()]) for match in _OPCODE.finditer(data)]
    return [(at, size) for at, size in found if at + size <= len(data)]


_EDITS = (_flip, _set, _insert, _delete, _duplicate, _truncate, _splice, _number, _number)
_TEXT_EDITS = (*_EDITS, _token, _token, _token, _token)


def mutated(random, corpus):
    """One of the seeds, changed in one to four places."""
    data = bytearray(random.choice(corpus.seeds))
    edits = _TEXT_EDITS if corpus.tokens else _EDITS
    for _ in range(random.choice((1, 1, 1, 1, 1, 2, 3, 4))):
        if data:
            random.choice(edits)(random, data, corpus)
    return bytes(data)


def repaired(random, corpus):
    """A changed safetensors file whose length field fits its header, most of the time."""
    data = mutated(random, corpus)
    end = data.rfind(b"}") + 1
    if end > 8 and random.random() < 0.8:
        end += len(data[end:]) - len(data[end:].lstrip(b" "))
        data = struct.pack("<Q", end - 8) + data[8:]
    return data


def strung(random, _):
    """Opcodes one behind the other, as they come."""
    parts = b"".join(random.choice(SNIPPETS) for _ in range(random.randrange(1, 25)))
    return b"\x80\x02" + parts + (b"." if random.random() < 0.8 else b"")


def grown(random, _):
    """A pickle that is sound as a pickle, of values that torch may never have written."""
    return b"\x80\x02" + _value(random, 4) + b"."


_SCALARS = (b"N", b"\x88", b"\x89", b"K\x00", b"K\x01", b"G" + bytes(8), b"G\x7f\xf8" + bytes(6),
            text(""), text("a"), text("weight_orig"), text("weight_u"), text("latin1"), b"C\x01x",
            text("\ud800"), text("a/b"), text("\x1b[0m"), integer(2**80), integer(-1))  # fmt: skip
_NAMES = (
    ("collections", "OrderedDict"), ("torch", "Size"), ("torch", "device"), ("builtins", "set"),
    ("builtins", "bytearray"), ("_codecs", "encode"), ("os", "system"), ("torch", "float32"),
    ("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor_v3"),
    ("torch._utils", "_rebuild_parameter_with_state"), ("torch._utils", "_rebuild_sparse_tensor"),
    ("torch._tensor", "_rebuild_from_type_v2"), ("torch.nn.parameter", "Parameter"),
    ("torch.serialization", "_get_layout"), ("torch", "FloatStorage"), ("a.nn", "Linear"),
)  # fmt: skip
_KEYS = ("weight", "weight_orig", "weight_u", "weight_v", "weight_g", "bias", "state", "optimizer",
         "param_groups", "_metadata", "parametrizations.weight.original0", "_modules",
         "parametrizations.weight.0._u", "_parameters")  # fmt: skip


def _value(random, depth):
    kind = random.randrange(12 if depth else 3)
    if kind < 2:
        return random.choice(_SCALARS)
    if kind < 5:
        return _tensor(random)
    if kind < 8:
        return _table(random, depth)
    if kind == 8:
        opened, closed = random.choice(
            ((b"](", b"e"), (b"(", b"l"), (b"(", b"t"), (b"\x8f(", b"\x90"))
        )
        return opened + _values(random, depth) + closed
    if kind == 9:
        return name(*random.choice(_NAMES))
    if kind == 10:
        return random.choice((b"h\x00", b"h\x01", b"2\x86", b"\x94", b"q\x00"))
    state = random.choice((b"", _table(random, depth) + b"b"))
    return name(*random.choice(_NAMES)) + b"(" + _values(random, depth) + b"tR" + state


def _values(random, depth):
    return b"".join(_value(random, depth - 1) for _ in range(random.randrange(4)))


def _table(random, depth):
    pairs = [(_key(random), _value(random, depth - 1)) for _ in range(random.randrange(4))]
    whole = table(*pairs)
    return ordered_dict() + whole[1:] if random.random() < 0.5 else whole + b"\x94"


def _key(random):
    if random.random() < 0.8:
        return text(random.choice(_KEYS))
    return random.choice((*_SCALARS, row(text("a"), b"K\x01"), row(row(b"N"))))


def _tensor(random):
    axes = random.randrange(4)
    odd = random.random() < 0.3
    pick = (
        (lambda: random.choice((0, 1, 2, 4, *NUMBERS, -1))) if odd else lambda: random.randrange(3)
    )
    storage = random.choice(({}, SECOND))
    made = tensor(
        **storage, start=pick(),
        shape=[pick() for _ in range(axes)], stride=[pick() for _ in range(axes)],
    )  # fmt: skip
    return parameter(made) if random.random() < 0.2 else made


def repacked(random, corpus):
    """An archive whose entries were changed before they were packed, and some fields after."""
    names = ["data.pkl", "byteorder", "data/0", "data/1", "version", "constants.pkl", "data/2"]
    content = {"data.pkl": random.choice(corpus.pickles), "byteorder": b"little"}
    content |= {f"data/{key}": record for key, record in RECORDS.items()}
    for _ in range(random.randrange(3)):
        key = random.choice(names)
        if random.random() < 0.5:
            content.pop(key, None)
        else:
            content[random.choice((key, key.upper(), f"{key}/", f"../{key}", "x" * 300))] = (
                random.choice((b"", b"big", b"middle", random.randbytes(16), *content.values()))
            )
    data = bytearray(zipped(content, top=random.choice(("archive", "archive", "a/b", "", "ä"))))
    for _ in range(random.choice((0, 1, 1, 2))):
        _number(random, data, corpus)
    return bytes(data)


def stored(random, corpus):
    """The five pickles of a legacy file, one of them made anew, and the storages that it names."""
    parts, which = list(corpus.parts), random.choice((1, 2, 3, 3, 3, 3, 3, 4))
    make = random.choice((strung, grown, grown))
    parts[which] = make(random, corpus).replace(b"tQ", b"NtQ")  # its persistent ids end with a view
    keys = [key for key in RECORDS if text(key) + text("cpu") in parts[3]]
    if which != 4:
        parts[4] = pickle(b"](" + b"".join(map(text, keys)) + b"e")
    counts = {"0": 4, "1": 8}
    return b"".join(parts) + b"".join(struct.pack("<q", counts[k]) + RECORDS[k] for k in keys)
