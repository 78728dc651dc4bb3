"""One weight of a checkpoint as the model's own modules store it, in whatever layout it comes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import torch

from normcli.errors import CheckpointError, UsageError
from normcli.formats.spelling import quoted
from normcli.initialization.fitting import shell_word, unlike_shapes
from normcli.initialization.stored import encoded
from normcli.records import NormState
from normcli.reparam import problem, read_state
from normcli.reparam.spelling import TARGETS
from normcli.rewrite import PLANS, Options
from normcli.rewrite.plans.choice import checked_axis, parts_of, spelling
from normcli.rewrite.values import VALUES, Left, Open
from normcli.selection import axis_choice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from normcli.records import Axis, Step, TensorRef, Weight

    Read: TypeAlias = Callable[[str], Tensor]


class Respelled(NamedTuple):
    """Key of the model → tensor, and what there is to say about the weight."""

    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()


Way: TypeAlias = "Callable[[Read], Respelled]"


def way_of(stored: Weight, own: Weight, *, prefix: str, dims: Mapping[str, Axis]) -> Way:
    """How a weight gets into the model, decided from names, shapes and dtypes.

    Parts that mean the same are taken as they are; a plain weight or one under weight norm is made
    of the effective weight, whatever that is stored as.

    Args:
        stored: In the checkpoint.
        own: The same weight in the model.
        prefix: Of all keys of the checkpoint.
        dims: Glob → row axis where the checkpoint does not tell.

    Raises:
        CheckpointError: There is no way, or nobody can tell what the checkpoint computes with.
        UsageError: The weight has no such axis.
    """
    same = _same_keys(stored, own, prefix)
    # a scalar of torch 0.3 has one axis, which torch still drops
    if same is None and stored.shape != own.shape and (stored.shape, own.shape) != ((1,), ()):
        raise unlike_shapes(stored, own)
    same = same or _same_parts(stored, own)
    if same:
        return partial(_copied, same)
    axis = checked_axis(stored, axis_choice(dims)(stored))
    trouble = problem(stored, axis) if isinstance(stored, NormState) else ""
    if trouble:
        raise CheckpointError(f"{quoted(stored.key)}: {trouble}", hint=_BUILT_ALIKE)
    if not isinstance(own, NormState):
        return partial(_plain, stored, own.key, axis)
    if own.family == "weight" and _is_one_norm(own):
        return partial(_under_weight_norm, stored, own, axis)
    if _is_old_spectral(stored) and own.family == "spectral" and _is_one_norm(own):
        return partial(_modern, _respelling(stored, own, axis), own)
    raise _no_way(stored, own)


_BUILT_ALIKE = "only a model with the very same keys can take it as it is"


def _is_one_norm(own: NormState) -> bool:
    return own.layout in TARGETS and not own.stack and not own.problem


def _is_old_spectral(stored: Weight) -> bool:
    """Whether its u and v have to be made: torch spells them anew, or not at all."""
    if not isinstance(stored, NormState) or stored.family != "spectral" or stored.stack:
        return False
    return stored.layout not in TARGETS and len(stored.shape) > 1


def _same_keys(stored: Weight, own: Weight, prefix: str) -> dict[str, str] | None:
    """Key → name in the checkpoint, if both are stored in the same keys and shapes."""
    held = {ref.key.removeprefix(prefix): ref for ref in parts_of(stored)}
    shapes = {ref.key: ref.shape for ref in parts_of(own)}
    if {key: ref.shape for key, ref in held.items()} != shapes:
        return None
    return {key: ref.name for key, ref in held.items()}


def _same_parts(stored: Weight, own: Weight) -> dict[str, str] | None:
    """The same for one norm that torch spells in two ways."""
    if not isinstance(stored, NormState) or not isinstance(own, NormState):
        return None
    if stored.family != own.family or not (_is_one_norm(stored) and _is_one_norm(own)):
        return None
    pairs = [(ref, own.parts[role]) for role, ref in stored.parts.items()]
    differ = [(ref, mine) for ref, mine in pairs if ref.shape != mine.shape]
    if not differ:
        return {mine.key: ref.name for ref, mine in pairs}
    if own.family == "spectral":  # its u and v are of another row axis
        raise unlike_shapes(*differ[0])
    return None


def _no_way(stored: Weight, own: NormState) -> CheckpointError:
    how = spelling(own)
    found = f"{quoted(stored.key)} is {_described(stored)}, the model has it under {how}"
    hint = "build the model without it"
    if own.family == "spectral" and _is_one_norm(own):
        first = "normcli remove, then " if isinstance(stored, NormState) else ""
        apply = f"normcli apply --spectral --layout {own.layout}"
        hint = f"{first}{apply} writes such a checkpoint; or {hint}"
    return CheckpointError(found, hint=hint)


def _described(stored: Weight) -> str:
    under = "under " if isinstance(stored, NormState) else ""
    return f"{under}{spelling(stored)}"


def _copied(names: Mapping[str, str], read: Read) -> Respelled:
    return Respelled({key: read(name) for key, name in names.items()})


def _plain(stored: Weight, key: str, axis: Axis | str, read: Read) -> Respelled:
    weight, notes = _effective(stored, axis, read)
    return Respelled({key: weight}, notes)


def _under_weight_norm(stored: Weight, own: NormState, axis: Axis | str, read: Read) -> Respelled:
    weight, notes = _effective(stored, axis, read)
    parts = encoded(weight, own, own.axes[0])
    zero = parts["g"] == 0
    if zero.any():  # 0/0 is no row of zeros; any direction is, with g = 0
        parts["v"] = torch.where(zero, torch.ones_like(parts["v"]), parts["v"])
    return Respelled({own.parts[role].key: tensor for role, tensor in parts.items()}, notes)


def _effective(stored: Weight, axis: Axis | str, read: Read) -> tuple[Tensor, tuple[str, ...]]:
    """What the checkpoint computes with."""
    if not isinstance(stored, NormState):
        return read(stored.name), ()
    decoded = read_state(read, stored, axis)
    if not decoded.certain:
        raise _open_axis(stored)
    return decoded.weight, tuple(f"{quoted(stored.key)}: {note}" for note in decoded.notes)


def _respelling(stored: Weight, own: NormState, axis: Axis | str) -> Step:
    """The step that `convert` takes to the model's layout; its u and v have to fit the model's."""
    dims = {} if isinstance(axis, str) else {stored.name: axis}
    (step,) = PLANS["convert"]([stored], Options(layout=own.layout, dims=dims)).steps
    return step


def _modern(step: Step, own: NormState, read: Read) -> Respelled:
    outcome = VALUES["convert"](step, read, Options(allow_nonfinite=True))
    if isinstance(outcome, Open):
        raise _open_axis(step.weight)
    assert not isinstance(outcome, Left)  # noqa: S101  it leaves only what is not finite
    roles = {part.name: role for role, part in _result(step).parts.items()}
    tensors = {}
    for given in step.gives:
        name = given.ref.name
        part = own.parts[roles[name]]
        tensor = read(given.kept) if given.kept else outcome.made[name]
        if tuple(tensor.shape) != part.shape:
            raise _other_rows(step.weight, part, tuple(tensor.shape))
        tensors[part.key] = tensor
    notes = tuple(f"{quoted(step.weight.key)}: {note}" for note in outcome.change.notes)
    return Respelled(tensors, notes)


def _result(step: Step) -> NormState:
    assert isinstance(step.result, NormState)  # noqa: S101  convert gives nothing else
    return step.result


def _other_rows(stored: Weight, part: TensorRef, shape: tuple[int, ...]) -> CheckpointError:
    return CheckpointError(
        f"{quoted(stored.key)} has rows of another axis than in the model: {quoted(part.key)} "
        f"would have shape {shape}, the model's has {part.shape}"
    )


def _open_axis(stored: Weight) -> UsageError:
    return UsageError(
        f"neither shapes nor values tell which axis is the rows of {quoted(stored.name)}",
        hint=f"say it: --dim {shell_word(f'{stored.name}=0')}, or 1 for a transposed convolution",
    )
