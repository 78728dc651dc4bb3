"""A model filled strictly from a checkpoint, in whatever layout its norms are stored."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from normcli.errors import CheckpointError, NormcliError
from normcli.formats.spelling import quoted, several
from normcli.formats.tied import ties
from normcli.initialization.casting import cast, cast_notes
from normcli.initialization.fitting import misfit, what_helps
from normcli.initialization.guest import guest
from normcli.initialization.header import header_of
from normcli.initialization.respelling import way_of
from normcli.initialization.sections import section_of
from normcli.records import MEASURABLE, NormState, full_name
from normcli.reparam import weights
from normcli.rewrite.plans.choice import parts_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from torch import Tensor, nn

    from normcli.formats import Checkpoint
    from normcli.initialization.sections import Section
    from normcli.records import Axis, TensorRef, Weight

_SPECTRAL = "spectral_norm"  # entry of torch's hook in the `_metadata` of its module
_ASSIGN = "assign_to_params_buffers"  # one that torch itself makes: not for a file to say
_EXTRA = "_extra_state"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Where the values of a model come from.

    Attributes:
        section: Of the checkpoint.
        weights: Key of a weight or another tensor in the model → what the checkpoint stores it as,
            in checkpoint order.
        notes: What was decided by value, converted, or not loaded.
    """

    section: str
    weights: Mapping[str, Weight]
    notes: tuple[str, ...]


def load(
    model: nn.Module,
    checkpoint: Checkpoint,
    *,
    section: str | None,
    prefix: str,
    dims: Mapping[str, Axis] = MappingProxyType({}),
) -> Loaded:
    """Fill a model: every tensor of it from the checkpoint, every key below the prefix used.

    Where an error is raised the model may be filled in part.

    Args:
        model: Its own modules say in which layout weights are stored; its hooks for files of older
            versions run.
        checkpoint: Opened.
        section: Which state dict; None for the only one that fits.
        prefix: What its keys carry before those of the model.
        dims: Glob → row axis where the checkpoint does not tell.

    Raises:
        CheckpointError: It lacks a weight, holds one too many, or one of another shape or norm.
        UsageError: An option cannot be meant, or code of the model fails.
    """
    try:
        return _Loading(model, checkpoint, section, prefix).filled(dims)
    except NormcliError as error:
        error.where = error.where or checkpoint.path
        raise


class _Loading:
    """One model and one checkpoint."""

    def __init__(
        self, model: nn.Module, checkpoint: Checkpoint, section: str | None, prefix: str
    ) -> None:
        with guest("reading the state dict of the model", where="--model"):
            self.header, metadata = header_of(model)
        self.model, self.checkpoint = model, checkpoint
        self.own = {weight.key: weight for weight in weights(self.header, metadata)}
        self.metadata = metadata[""]
        self.ties = ties(checkpoint)  # left out of the file → in it
        needed = {key for key, weight in self.own.items() if weight.dtype in MEASURABLE}
        listed = weights(self._tensors(), checkpoint.metadata)
        found = section_of(listed, needed, asked=section, prefix=prefix, where=checkpoint.path)
        self.section = replace(found, weights=self._without_records(found))

    def filled(self, dims: Mapping[str, Axis]) -> Loaded:
        """What came from where, once it is there."""
        held = self.section.weights
        ways = {
            key: way_of(stored, self.own[key], prefix=self.section.prefix, dims=dims)
            for key, stored in held.items()
            if key in self.own
        }
        self._check_strange(held.keys() - ways.keys())
        state: OrderedDict[str, Tensor] = OrderedDict()
        notes: list[str] = []
        for key, stored in held.items():
            done = ways[key](self._read) if key in ways else None
            tensors = self._strange(stored) if done is None else done.tensors
            notes += () if done is None else done.notes
            state.update(self._cast(tensors))
        notes += cast_notes((held[key].dtype, self.own[key].dtype) for key in ways)
        notes += self._put(state)
        came = {key: _filed(held[key], self.checkpoint.tensors, self.ties) for key in ways}
        return Loaded(self.section.name, MappingProxyType(came), tuple(notes))

    def _tensors(self) -> dict[str, TensorRef]:
        """The header of the checkpoint with the tensors that it leaves out for being tied."""
        tensors = dict(self.checkpoint.tensors)
        tensors.update((left, replace(tensors[kept], key=left)) for left, kept in self.ties.items())
        return tensors

    def _without_records(self, section: Section) -> dict[str, Weight]:
        """The weights of a section but those that it only records and the model does not have."""
        return {
            key: weight
            for key, weight in section.weights.items()
            if key in self.own or not all(part.name in self.ties for part in parts_of(weight))
        }

    def _read(self, name: str) -> Tensor:
        return self.checkpoint.read(self.ties.get(name, name))

    def _strange(self, stored: Weight) -> dict[str, Tensor]:
        """A weight that the model does not have, which a hook of its own may rename."""
        prefix = self.section.prefix
        return {ref.key.removeprefix(prefix): self._read(ref.name) for ref in parts_of(stored)}

    def _check_strange(self, keys: Collection[str]) -> None:
        """Raise where what is no weight of the model has the key of a part of one.

        `conv.weight_v` beside a plain `conv.weight` is not the v of the model's weight norm.
        """
        prefix = self.section.prefix
        for key in self.section.weights:
            parts = parts_of(self.section.weights[key]) if key in keys else ()
            if any(part.key.removeprefix(prefix) in self.header for part in parts):
                raise self._misfit(_difference(self.own, self.section.weights), [key])

    def _cast(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """In the dtypes of the model."""
        return {
            key: cast(key, tensor, self.header[key].dtype) if key in self.header else tensor
            for key, tensor in tensors.items()
        }

    def _put(self, state: OrderedDict[str, Tensor]) -> list[str]:
        """Load what is respelled; torch says what is missing or too much."""
        found = self.checkpoint.metadata.get(self.section.name)
        if found is not None:
            own = _metadata(found, self.section.prefix, self.metadata)
            state._metadata = own  # type: ignore[attr-defined]  # noqa: SLF001  as torch keeps it
        unfit = _difference(self.header, state), _difference(state, self.header)
        with guest("loading it into the model", where=self.checkpoint.path):
            result = self.model.load_state_dict(state, strict=False)
        # an override may not say what fitted
        missing, unexpected = map(list, result if isinstance(result, tuple) else unfit)
        built = [key for key in missing if key not in self.header and _is_extra(key)]
        self._check([key for key in missing if key not in built], unexpected)
        notes = self._torn(state)
        if built:
            names = several((quoted(key) for key in built), most=3)
            notes.append(f"kept as --model builds it, since no tensor: {names}")
        return notes

    def _torn(self, state: Mapping[str, Tensor]) -> list[str]:
        """A note for tensors that the model ties and the checkpoint holds different values of."""
        with guest("reading the state dict of the model", where="--model"):
            owned = self.model.state_dict(keep_vars=True)
        first: dict[int, str] = {}
        notes = []
        for key in filter(state.__contains__, owned):
            twin = first.setdefault(id(owned[key]), key)
            if twin != key and not torch.equal(_bytes(state[key]), _bytes(state[twin])):
                same = f"{quoted(key)} is {quoted(twin)} in the model, but not in the checkpoint"
                notes.append(f"{same}: only one of them is used")
        return notes

    def _check(self, missing: Iterable[str], unexpected: Iterable[str]) -> None:
        """Raise for keys that do not fit, named by their weights."""
        lacks, strange = _owners(missing, self.own.values()), self._strangers(unexpected)
        if lacks or strange:
            raise self._misfit(lacks, strange)
        prefix, held = self.section.prefix, self.section.weights
        for key, weight in self.own.items():
            if key not in held and len(weight.shape) > 1 and weight.dtype in MEASURABLE:
                raise CheckpointError(
                    f"lacks {quoted(prefix + key)}, which code of the model fills in its own way",
                    hint="save the checkpoint anew from the model: its keys are then the model's",
                )

    def _misfit(self, lacks: Sequence[str], strange: Sequence[str]) -> CheckpointError:
        prefix = self.section.prefix
        names = [full_name(self.section.name, prefix + key) for key in lacks]
        held, skipped = self.section.weights, self.checkpoint.skipped
        hint = what_helps(held, self.own, skipped, names, prefix=prefix)
        return misfit(lacks, strange, hint, prefix=prefix)

    def _strangers(self, keys: Iterable[str]) -> list[str]:
        prefix = self.section.prefix
        return [
            key.removeprefix(prefix)
            for key in _owners((prefix + key for key in keys), self.section.weights.values())
        ]


def _owners(keys: Iterable[str], listed: Iterable[Weight]) -> list[str]:
    """The weight that each part belongs to, each once; other keys as they are."""
    owner = {part.key: weight.key for weight in listed for part in parts_of(weight)}
    return list(dict.fromkeys(owner.get(key, key) for key in keys))


def _difference(some: Iterable[str], others: Collection[str]) -> list[str]:
    """Of some keys those that are not among others."""
    return [key for key in some if key not in others]


def _bytes(tensor: Tensor) -> Tensor:
    """What it is stored as: NaN equals itself, and no dtype is left out."""
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def _is_extra(key: str) -> bool:
    return key.rpartition(".")[2] == _EXTRA


def _metadata(
    found: Mapping[str, Any], prefix: str, own: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The `_metadata` of the file for the modules of the model.

    Norms are respelled as the model has them, and so is what its hooks read of spectral norm.
    """
    entries: dict[str, dict[str, Any]] = {}
    for path, entry in found.items():
        if not isinstance(entry, Mapping) or not f"{path}.".startswith(prefix):
            continue
        module = f"{path}."[len(prefix) : -1]
        kept = {key: value for key, value in entry.items() if key not in (_SPECTRAL, _ASSIGN)}
        mine = own.get(module, {})
        entries[module] = kept | ({_SPECTRAL: mine[_SPECTRAL]} if _SPECTRAL in mine else {})
    return entries


def _filed(weight: Weight, tensors: Mapping[str, TensorRef], left: Mapping[str, str]) -> Weight:
    """A weight with parts that the file holds, where it is recorded as tied to them."""
    if not any(part.name in left for part in parts_of(weight)):
        return weight
    if not isinstance(weight, NormState):
        return tensors[left[weight.name]]
    parts = {role: tensors[left.get(part.name, part.name)] for role, part in weight.parts.items()}
    stack = tuple(_filed(norm, tensors, left) for norm in weight.stack)
    return replace(weight, parts=parts, stack=stack)  # type: ignore[arg-type]  # norms alone
