"""The safetensors format: eight bytes of length, a JSON header, then the tensors end to end."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from normcli.errors import CheckpointError, RefusedError
from normcli.formats.extents import Extent, Record, contiguous
from normcli.formats.opened import Header
from normcli.formats.spelling import counted, quoted
from normcli.formats.state_metadata import STATE_METADATA, unpacked
from normcli.formats.strict_json import Pairs, parse_json, unique
from normcli.records import ITEMSIZE, Skipped, TensorRef

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normcli.formats.budgets import Budgets
    from normcli.formats.source import Source

# The format's dtype → torch's; sizes are ITEMSIZE's.
DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz", "C64": "complex64",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "BOOL": "bool",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
}  # fmt: skip

# Bits of an element of the dtypes that the format has and torch has no tensor of.
_PACKED_BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}

_FIELDS = frozenset({"dtype", "shape", "data_offsets"})
_TENSOR_MEMORY = 1300  # bytes that one tensor takes in all of a header's tables


class _Entry(NamedTuple):
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_safetensors(source: Source, budgets: Budgets) -> Header:
    """The header of a safetensors file, every rule of the format checked."""
    length = _header_length(source, budgets)
    entries = parse_json(_raw_header(source, length, budgets), "its header", budgets, _object)
    if not isinstance(entries, dict):
        raise CheckpointError("its header is not an object of tensors")
    strings = entries.pop("__metadata__", {})
    _check_metadata(strings)
    for name, entry in entries.items():
        _check_entry(name, entry, budgets)
    _check_layout(entries, source.size - 8 - length)
    header = _header(entries, 8 + length, strings)
    return _with_state_metadata(header, budgets)


def _header_length(source: Source, budgets: Budgets) -> int:
    if source.size < 10:  # the length and "{}"
        raise CheckpointError(f"has {source.size} bytes, too few for a safetensors header")
    length = int.from_bytes(source.read(0, 8), "little")
    if length > budgets.header:
        raise RefusedError(f"its header claims {length} bytes, the limit is {budgets.header}")
    if length > source.size - 8:
        raise CheckpointError(
            f"its header claims {length} bytes, the file has {source.size - 8} after the length",
            hint="the file is truncated; download it again",
        )
    return length


def _raw_header(source: Source, length: int, budgets: Budgets) -> bytes:
    """The JSON as it lies in the file."""
    raw = source.read(8, length)
    if not raw.startswith(b"{"):
        raise CheckpointError("its header does not start with '{', as safetensors demands")
    _check_count(raw, budgets)
    return raw


def _check_count(raw: bytes, budgets: Budgets) -> None:
    """Refuse too many tensors before they are parsed: each one opens a brace."""
    count = raw.count(b"{") - 1
    if count > budgets.tensors or count * _TENSOR_MEMORY > budgets.memory:
        raise RefusedError(
            f"its header holds {count} tensors, more than fit into "
            f"{budgets.memory // 1_000_000} MB of memory",
            hint="--budget-scale raises the limit, if you trust the file",
        )


def _object(pairs: Pairs) -> Any:  # noqa: ANN401 - a tensor, metadata, or the header itself
    """A tensor's three fields as an `_Entry`, which takes less memory; all else as a dict."""
    fields = unique(pairs)
    if fields.keys() != _FIELDS:
        return fields
    offsets, shape = fields["data_offsets"], fields["shape"]
    if not (_naturals(offsets) and len(offsets) == 2 and _naturals(shape)):
        return fields
    return _Entry(str(fields["dtype"]), tuple(shape), *offsets)


def _naturals(value: object) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**63 for n in value)


def _check_metadata(metadata: object) -> None:
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        raise CheckpointError("its __metadata__ is not an object of strings")


def _check_entry(name: str, entry: object, budgets: Budgets) -> None:
    where = quoted(name)
    if isinstance(entry, dict):
        unknown = [key for key in entry if key not in _FIELDS]
        if unknown:
            raise CheckpointError(f"{where} has an unknown field {quoted(unknown[0])}")
    if not isinstance(entry, _Entry):
        raise CheckpointError(f"{where} is not described by a dtype, a shape and two data_offsets")
    if len(entry.shape) > budgets.dimensions:
        raise CheckpointError(
            f"{where} has {len(entry.shape)} axes, expected {budgets.dimensions} at most"
        )
    if not name or len(name) > budgets.name:
        raise CheckpointError(
            f"{where} is a name of {len(name)} characters, expected 1 to {budgets.name}"
        )
    _check_size(where, entry)


def _check_size(where: str, entry: _Entry) -> None:
    bits = _PACKED_BITS.get(entry.dtype)
    if bits is None:
        if entry.dtype not in DTYPES:
            raise CheckpointError(f"{where} has the unknown dtype {quoted(entry.dtype)}")
        bits = 8 * ITEMSIZE[DTYPES[entry.dtype]]
    need, rest = divmod(math.prod(entry.shape) * bits, 8)
    if rest or entry.end - entry.begin != need:
        raise CheckpointError(
            f"{where} has {entry.end - entry.begin} bytes, expected {counted(need)} for its shape "
            f"and dtype {entry.dtype}"
        )


def _check_layout(entries: Mapping[str, _Entry], nbytes: int) -> None:
    """End to end, from the first byte of the data to the last: no hole, no overlap."""
    at = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1][2:]):
        if entry.begin != at:
            fault = "overlaps the tensor before it" if entry.begin < at else "leaves a hole"
            raise CheckpointError(
                f"{quoted(name)} {fault}: it begins at byte {entry.begin}, expected {at}"
            )
        at = entry.end
    if at != nbytes:
        raise CheckpointError(
            f"its tensors end at byte {at} of the data, which has {nbytes}",
            hint="the file is truncated; download it again" if at > nbytes else "",
        )


def _header(entries: dict[str, _Entry], data: int, strings: dict[str, str]) -> Header:
    """The tables, in the order of the header; the entries are used up on the way."""
    tensors: dict[str, TensorRef] = {}
    extents: dict[str, Extent] = {}
    skipped: list[Skipped] = []
    for name in list(entries):
        entry = entries.pop(name)
        dtype = DTYPES.get(entry.dtype)
        if dtype is None:
            skipped.append(Skipped(name, f"dtype {entry.dtype}, which torch has no tensor of"))
            continue
        nbytes = entry.end - entry.begin
        tensors[name] = TensorRef("", name, entry.shape, dtype, nbytes)
        record = Record(data + entry.begin, nbytes, None, name)
        extents[name] = Extent(record, 0, entry.shape, contiguous(entry.shape), dtype)
    return Header("safetensors", tensors, extents, skipped=tuple(skipped), strings=strings)


def _with_state_metadata(header: Header, budgets: Budgets) -> Header:
    """With the `_metadata` of the state dict that a writer put into a string."""
    text = header.strings.get(STATE_METADATA)
    if text is None:
        return header
    metadata = unpacked(text, budgets)
    if metadata is None:
        note = f"{STATE_METADATA} in its __metadata__ is not what normcli writes; it was ignored"
        return replace(header, notes=(*header.notes, note))
    strings = {key: value for key, value in header.strings.items() if key != STATE_METADATA}
    return replace(header, strings=strings, metadata=metadata)
