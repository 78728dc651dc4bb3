"""What a header tells: tensors, weights and norm states by name, shape and dtype."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Shape: TypeAlias = tuple[int, ...]
Axis: TypeAlias = int | None  # a row axis; None is one norm over the whole tensor

# Bytes of one element, by the dtype's name in torch. A dtype that is not here is not read.
ITEMSIZE: Mapping[str, int] = MappingProxyType(
    {
        "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2,
        "float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1,
        "float8_e8m0fnu": 1, "float4_e2m1fn_x2": 1,
        "complex128": 16, "complex64": 8, "complex32": 4,
        "int64": 8, "int32": 4, "int16": 2, "int8": 1,
        "uint64": 8, "uint32": 4, "uint16": 2, "uint8": 1, "bool": 1,
    }
)  # fmt: skip

# Dtypes that norms are computed of. Not float4_e2m1fn_x2, which packs two values a byte, and not
# complex32, which torch itself calls experimental.
MEASURABLE = frozenset(
    name for name in ITEMSIZE if name.startswith(("float", "bfloat", "complex"))
) - {"float4_e2m1fn_x2", "complex32"}


def other_axes(shape: Shape, axis: int) -> int:
    """Product of all sizes but that of `axis`: the columns of the matrix with `axis` as rows."""
    return math.prod(size for i, size in enumerate(shape) if i != axis)


def full_name(section: str, key: str) -> str:
    """`SECTION/KEY`; the key alone in a bare state dict."""
    return f"{section}/{key}" if section else key


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A header line: one tensor of a checkpoint, nothing of it read.

    Attributes:
        section: Path of the containers around the state dict (`G`, `state_dict`), or empty.
        key: State-dict key.
        shape: As stored.
        dtype: Torch's name without `torch.`, a key of `ITEMSIZE`.
        nbytes: Bytes of its elements (numel · itemsize).
        storage: Which bytes it views: equal for tied tensors, empty where no bytes are shared.
        note: What a reader has to know (an overlapping view), or empty.
        problem: Which part of a norm stands beside it that it has no use for, or empty.
    """

    section: str
    key: str
    shape: Shape
    dtype: str
    nbytes: int
    storage: str = ""
    note: str = ""
    problem: str = ""

    @property
    def name(self) -> str:
        """`SECTION/KEY`."""
        return full_name(self.section, self.key)

    @property
    def parameters(self) -> int:
        """Number of elements."""
        return self.nbytes // ITEMSIZE[self.dtype]


@dataclass(frozen=True, slots=True)
class NormState:
    """A weight that is stored as the parts of a norm.

    Attributes:
        section: As in `TensorRef`.
        key: State-dict key that the weight itself would have (`conv.weight`).
        family: `spectral`, `weight`, `pruning` or `unknown`.
        layout: Spelling of the keys: `legacy`, `parametrized`, `legacy-v0`, `weight-bar`,
            `biggan`, `mimicry`.
        parts: Role → tensor: `original`, `u`, `v`, `g`, `baked`, `mask`.
        axes: Candidate row axes by shape, in order; several where the shapes leave it open.
        shape: Of the weight.
        dtype: Of the weight.
        stack: The norms in the order in which they act, where there is more than one.
        problem: Why no effective weight can be told; empty where it can.
        notes: What else is worth knowing.
    """

    section: str
    key: str
    family: str
    layout: str
    parts: Mapping[str, TensorRef]
    axes: tuple[Axis, ...]
    shape: Shape
    dtype: str
    stack: tuple[NormState, ...] = ()
    problem: str = ""
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`SECTION/KEY` of the weight."""
        return full_name(self.section, self.key)

    @property
    def parameters(self) -> int:
        """Number of elements of the weight."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all parts together: what has to be read."""
        return sum(part.nbytes for part in self.parts.values())


Weight: TypeAlias = TensorRef | NormState


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was not measured, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Opaque:
    """An object in a pickle that is neither a tensor nor plain data; never built.

    Attributes:
        what: Qualified name as the file spells it, `argparse.Namespace`.
        count: How often the file names it.
        place: Path of the first one inside the file, or empty where it is only named.
    """

    what: str
    count: int
    place: str


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file of a checkpoint: its name, size in bytes, and sha256 where all of it was read."""

    name: str
    nbytes: int
    sha256: str = ""
