"""Group E: every rule of the safetensors format, broken once."""

from __future__ import annotations

import struct

from cases import NOTED, REFUSED, Case, written
from safetensors_files import GOOD, empty_tensors, entry, packed

_LIMIT = 100_000_000  # bytes that the format allows a header


def _broken(name, header, nbytes, says, why, *, length=None):
    def content():
        return packed(header, bytes(nbytes), length=length)

    return Case(name, "E", written("model.safetensors", content), REFUSED, says, why)


def _oversized(folder):
    """A header that is one byte too long, and all there; a sparse file takes no disk."""
    path = folder / "model.safetensors"
    with path.open("wb") as out:
        out.write(struct.pack("<Q", _LIMIT + 1) + b"{}")
        out.truncate(8 + _LIMIT + 1)
    return path


def _padded(folder):
    """The longest header that the format allows: one name and spaces."""
    path = folder / "model.safetensors"
    start = packed(b'{"', length=_LIMIT)
    path.write_bytes(start + b"x" * (_LIMIT - 6) + b'":1}')
    return path


_HIDES = "another reader sees another model"
_OUTSIDE = "reads memory that is not the file's"

_LAYOUT = (
    _broken("hole between tensors", {"a": entry(0, 8, [2]), "b": entry(12, 16, [])}, 16,
            "'b' leaves a hole: it begins at byte 12, expected 8", "hides a second file"),
    _broken("hole in front", {"a": entry(4, 12, [2])}, 12,
            "'a' leaves a hole: it begins at byte 4, expected 0", "hides a second file"),
    _broken("overlapping tensors", {"a": entry(0, 8, [2]), "b": entry(4, 8, [])}, 8,
            "'b' overlaps the tensor before it", "a rewriting would change its neighbour"),
    _broken("data too short", GOOD, 8, "its tensors end at byte 12 of the data, which has 8",
            _OUTSIDE),
    _broken("data too long", GOOD, 16, "its tensors end at byte 12 of the data, which has 16",
            "hides a second file"),
    _broken("offsets backwards", {"a": entry(8, 0, [2])}, 8, "'a' has -8 bytes, expected 8",
            _OUTSIDE),
    _broken("offsets that do not fit the shape", {"a": entry(0, 8, [3])}, 8,
            "'a' has 8 bytes, expected 12 for its shape and dtype F32", _OUTSIDE),
    _broken("shape that overflows", {"a": entry(0, 8, [2**62, 4, 2])}, 8,
            "'a' has 8 bytes, expected 2^67 or more", "numel wraps around to 0"),
)  # fmt: skip

_FIELDS = (
    _broken("unknown field", {"a": entry(0, 8, [2], more=1)}, 8, "'a' has an unknown field 'more'",
            _HIDES),
    _broken("missing field", {"a": {"shape": [2], "data_offsets": [0, 8]}}, 8,
            "'a' is not described by a dtype, a shape and two data_offsets", _HIDES),
    _broken("unknown dtype", {"a": entry(0, 8, [2], "F99")}, 8, "'a' has the unknown dtype 'F99'",
            "no gate has looked at it"),
    _broken("size of -2", {"a": entry(0, 8, [-2])}, 8, "'a' is not described by", _OUTSIDE),
    _broken("size of 2^63", {"a": entry(0, 8, [2**63])}, 8, "'a' is not described by", _OUTSIDE),
    _broken("size that is a float", {"a": entry(0, 8, [2.0])}, 8, "'a' is not described by",
            _HIDES),
    _broken("size that is true", {"a": entry(0, 4, [True])}, 4, "'a' is not described by", _HIDES),
    _broken("three offsets", {"a": {**entry(0, 8, [2]), "data_offsets": [0, 8, 8]}}, 8,
            "'a' is not described by", _HIDES),
    _broken("65 axes", {"a": entry(0, 4, [1] * 65)}, 4, "'a' has 65 axes, expected 64 at most",
            "torch ends the process"),
    _broken("metadata of numbers", {"__metadata__": {"epoch": 3}, **GOOD}, 12,
            "its __metadata__ is not an object of strings", _HIDES),
    Case("dtype of half a byte", "E",
         written("model.safetensors",
                 lambda: packed({"a": entry(0, 2, [4], "F4"), "b": entry(2, 6, [])}, bytes(6))),
         NOTED, "a: dtype F4, which torch has no tensor of", "no gate has looked at it"),
)  # fmt: skip

_JSON = (
    _broken("duplicate tensor", b'{"a": {}, "a": {}}', 0, "key 'a' comes twice", _HIDES),
    _broken("duplicate tensor by an escape", b'{"a": {}, "\\u0061": {}}', 0, "key 'a' comes twice",
            _HIDES),
    _broken("duplicate field", b'{"a": {"shape": [], "shape": []}}', 0, "key 'shape' comes twice",
            _HIDES),
    _broken("duplicate metadata", b'{"__metadata__": {"x": "1", "x": "2"}}', 0,
            "key 'x' comes twice", _HIDES),
    _broken("header that starts with a space", b" {}", 0, "is not a checkpoint", _HIDES),
    _broken("header that is no JSON", b"{nothing}", 0, "its header is not JSON", _HIDES),
    _broken("header that is not UTF-8", b'{"\xff": 1}', 0, "its header is not UTF-8 at byte 2",
            _HIDES),
    _broken("NaN in the header", b'{"a": NaN}', 0, "NaN is not a JSON number", _HIDES),
    _broken("two objects in the header", b"{} {}", 0, "its header is not JSON", _HIDES),
    _broken("deep nesting", b'{"a":' + b"[" * 100_000, 0, "its header nests too deep",
            "the stack overflows"),
    _broken("number of 5,000 digits", b'{"a": ' + b"9" * 5000 + b"}", 0,
            "its header holds a number of thousands of digits",
            "quadratic time"),
    _broken("name of a megabyte", {"n" * 1_000_000: entry(0, 4, [])}, 4,
            "is a name of 1000000 characters, expected 1 to 65536", "floods every log"),
)  # fmt: skip

_SIZES = (
    Case("900,000 empty tensors", "E",
         written("model.safetensors", lambda: empty_tensors(900_000)), REFUSED,
         "its header holds 900000 tensors, more than fit into 400 MB of memory",
         "1 kB of memory for each 60 bytes"),
    Case("header over 100 MB", "E", _oversized, REFUSED,
         "its header claims 100000001 bytes, the limit is 100000000",
         "a small file fills the memory"),
    Case("header of 100 MB", "E", _padded, REFUSED,
         "is not described by a dtype, a shape and two data_offsets",
         "several copies fill the memory"),
    _broken("header longer than the file", GOOD, 12, "its header claims 10000 bytes, the file has",
            "reads past the end", length=10_000),
    _broken("header of 2^63 bytes", GOOD, 12,
            "its header claims 9223372036854775808 bytes, the limit is 100000000",
            "a signed length turns negative", length=2**63),
    _broken("header of 2^64 - 1 bytes", GOOD, 12, "its header claims 18446744073709551615 bytes",
            "the length and its own eight bytes wrap around", length=2**64 - 1),
)  # fmt: skip

CASES: tuple[Case, ...] = (*_LAYOUT, *_FIELDS, *_JSON, *_SIZES)
