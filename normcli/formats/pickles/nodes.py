"""What a pickle describes, as inert values: nothing here has ever been imported, called or built.

Plain data are Python's own None, bool, int, float, str, bytes, tuple and list. All else is one
of these.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(slots=True, eq=False)
class DictNode:
    """A dict or an OrderedDict.

    Attributes:
        items: As stored, in order; keys are scalars or flat tuples of them.
        metadata: What a state dict carries as `_metadata`, or None.
        ordered: Whether it is an OrderedDict.
    """

    items: dict[Any, Any] = field(default_factory=dict)
    metadata: Any = None
    ordered: bool = False


@dataclass(slots=True, eq=False)
class SetNode:
    """A set or a frozenset: its members in the order of the file."""

    members: list[Any] = field(default_factory=list)
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class GlobalNode:
    """A name that the pickle would import."""

    module: str
    name: str

    @property
    def what(self) -> str:
        """`module.name`."""
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Call:
    """A call as the pickle spells it: what a writer repeats to give the same object again."""

    function: GlobalNode
    args: tuple[Any, ...]

    @property
    def what(self) -> str:
        """`module.name` of the function."""
        return self.function.what


class CalledText(str):
    """What a name or a call says in one word: a device, a layout, a scheme of quantization.

    Attributes:
        call: The name, or the call, that it stands for.
    """

    __slots__ = ("call",)

    call: GlobalNode | Call

    def __new__(cls, text: str, call: GlobalNode | Call) -> Self:
        """The word, with what it stands for."""
        made = super().__new__(cls, text)
        made.call = call
        return made


class SizeNode(tuple[Any, ...]):
    """A torch.Size."""

    __slots__ = ()


class ByteArrayNode(bytes):
    """A bytearray."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class DtypeNode:
    """A torch dtype, also one that is not read: `float32`, `qint8`."""

    name: str


@dataclass(frozen=True, slots=True)
class StorageType:
    """A storage class; `dtype` is empty for untyped bytes."""

    dtype: str


@dataclass(slots=True, eq=False)
class StorageNode:
    """A persistent id: bytes beside the pickle.

    Attributes:
        key: Name of the record.
        dtype: Of its elements; empty for untyped bytes.
        numel: Number of elements, or bytes where untyped.
        viewed: Dtype of a tensor that views untyped bytes; empty where none does.
    """

    key: str
    dtype: str
    numel: int
    viewed: str = ""


@dataclass(slots=True, eq=False)
class TensorNode:
    """A dense tensor: a view of a storage, not checked yet.

    Attributes:
        storage: Its bytes.
        start: Elements before the first one.
        shape: Sizes.
        stride: In elements.
        dtype: Of its elements.
        attributes: Whether the file hangs attributes on it, which are ignored.
        call: What the pickle builds it by, where the machine is told to remember.
    """

    storage: StorageNode
    start: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str
    attributes: bool = False
    call: Call | None = None


@dataclass(slots=True, eq=False)
class UnreadTensor:
    """A tensor of a kind that is not read: sparse, quantized, on no device.

    Attributes:
        kind: As the report says it.
        parts: What it is made of, for the tensors and objects inside.
        call: As in `TensorNode`.
    """

    kind: str
    parts: list[Any] = field(default_factory=list)
    call: Call | None = None


@dataclass(slots=True, eq=False)
class OpaqueNode:
    """An object that is neither a tensor nor plain data.

    Attributes:
        what: Qualified name of what would build it.
        parts: Arguments, and items that were added.
        state: What BUILD gave it.
    """

    what: str
    parts: list[Any] = field(default_factory=list)
    state: Any = None


@dataclass(slots=True, eq=False)
class ScriptNode:
    """An object of a TorchScript archive: its attributes by name."""

    what: str
    state: Any = None
