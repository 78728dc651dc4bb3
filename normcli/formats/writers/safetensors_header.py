"""The header of a safetensors file from its tensors: the bytes that the reference writer gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from normcli.errors import CheckpointError
from normcli.formats.budgets import Budgets
from normcli.formats.safetensors_file import DTYPES
from normcli.formats.spelling import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from normcli.formats.writers.flat import Flat
    from normcli.records import TensorRef

# The order of dtypes in a file, and how the format calls them: descending alignment, and among
# equals as the reference writer has it.
_ORDER = (
    "U64", "I64", "F64", "C64", "F32", "U32", "I32", "BF16", "F16", "U16", "I16", "F8_E5M2FNUZ",
    "F8_E4M3FNUZ", "F8_E8M0", "F8_E4M3", "F8_E5M2", "I8", "U8", "BOOL",
)  # fmt: skip
_RANKS = {DTYPES[name]: rank for rank, name in enumerate(_ORDER)}

_RESERVED = "__metadata__"


def in_file_order(tensors: Iterable[Flat]) -> list[Flat]:
    """By dtype, then by name.

    Raises:
        CheckpointError: The format has no such dtype, or no such name.
    """
    tensors = list(tensors)
    for each in tensors:
        _check(each)
    return sorted(tensors, key=lambda each: (_RANKS[each.ref.dtype], each.name))


def header_bytes(refs: Sequence[TensorRef], strings: Mapping[str, str]) -> bytes:
    """Length and JSON for tensors that lie end to end in this order; metadata sorted by key.

    Raises:
        CheckpointError: It is larger than the format allows, or a name is not Unicode text.
    """
    entries: dict[str, Any] = {_RESERVED: dict(sorted(strings.items()))} if strings else {}
    at = 0
    for ref in refs:
        entries[ref.name] = {
            "dtype": _ORDER[_RANKS[ref.dtype]],
            "shape": list(ref.shape),
            "data_offsets": [at, at + ref.nbytes],
        }
        at += ref.nbytes
    raw = _encoded(entries)
    raw += b" " * (-len(raw) % 8)
    limit = Budgets().header
    if len(raw) > limit:
        raise CheckpointError(
            f"needs a safetensors header of {len(raw)} bytes, the format allows {limit}",
            hint="write several files: --max-shard-size",
        )
    return len(raw).to_bytes(8, "little") + raw


def _encoded(entries: Mapping[str, Any]) -> bytes:
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        around = text[max(error.start - 20, 0) : error.end + 20]
        raise CheckpointError(
            f"holds a name that is not Unicode text, near {quoted(around)}",
            hint="write a .pt file, which holds any name",
        ) from error


def _check(tensor: Flat) -> None:
    where, ref = quoted(tensor.given.ref.name), tensor.ref
    if ref.dtype not in _RANKS:
        raise CheckpointError(
            f"{where} has dtype {ref.dtype}, which safetensors does not have",
            hint="write a .pt file, or leave the tensor out before",
        )
    longest = Budgets().name
    if not 1 <= len(ref.name) <= longest or ref.name == _RESERVED:
        raise CheckpointError(
            f"{where} is a name that safetensors does not have: "
            f"expected 1 to {longest} characters, not {_RESERVED}",
            hint="write a .pt file, which holds any name",
        )
