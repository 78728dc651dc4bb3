"""Torch files out: a draft, or a list of tensors, becomes the blueprint of one zip archive."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from normcli.errors import CheckpointError, RefusedError
from normcli.formats.extents import data_bytes, overlaps
from normcli.formats.meter import Meter
from normcli.formats.opened import OpenedFile
from normcli.formats.sections import find_tensors
from normcli.formats.spelling import quoted, several
from normcli.formats.writers.draft import Blueprint
from normcli.formats.writers.dropping import dropped
from normcli.formats.writers.flat_content import all_tensors, flat_tree, with_strings
from normcli.formats.writers.pickle_writer import pickled
from normcli.formats.writers.torch_file import TorchFile
from normcli.formats.writers.torch_rewriting import rewritten
from normcli.records import Skipped, TensorRef, full_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from normcli.formats.base import Checkpoint
    from normcli.formats.pickles.nodes import TensorNode
    from normcli.formats.torch_content import Content
    from normcli.formats.writers.draft import Draft
    from normcli.records import Given

_FORMAT = "torch-zip"


def torch_blueprint(checkpoint: Checkpoint, draft: Draft, *, name: str = "") -> Blueprint:
    """One torch file that holds what `checkpoint` holds, but for what `draft` changes.

    A torch file is written back as it was: containers, plain data, ties, strides, Parameters. Of
    any other input its tensors become one state dict.

    Args:
        checkpoint: Of any format, open until the blueprint is written.
        draft: What differs.
        name: Of the file within its folder; empty where the output is one file.

    Raises:
        CheckpointError: A key comes twice, or the input changed.
        RefusedError: It holds what cannot be written back: foreign objects, overlapping views.
    """
    content = checkpoint.content() if isinstance(checkpoint, OpenedFile) else None
    if content is not None:
        return _rewriting(checkpoint, draft, content, name)
    lost = dropped(checkpoint, draft, _FORMAT)
    tensors = all_tensors(checkpoint, draft)
    metadata = with_strings({**checkpoint.metadata, **draft.metadata}, checkpoint)
    return _flat(checkpoint, tensors, metadata, name, lost)


def flat_torch_blueprint(
    checkpoint: Checkpoint,
    tensors: Sequence[Given],
    metadata: Mapping[str, Mapping[str, Any]],
    *,
    name: str = "",
) -> Blueprint:
    """One torch file that holds the given tensors, in their order, as one state dict.

    Args:
        checkpoint: What kept tensors are read from; of any format.
        tensors: Kept ones are written contiguously; equal `storage` of kept tensors in the input,
            or of made ones in their lines, means that they share their bytes.
        metadata: Section → `_metadata`.
        name: Of the file within its folder; empty where the output is one file.

    Raises:
        CheckpointError: A key comes twice.
        RefusedError: A kept tensor is an overlapping view.
    """
    return _flat(checkpoint, tensors, metadata, name, ())


def _flat(
    checkpoint: Checkpoint,
    tensors: Sequence[Given],
    metadata: Mapping[str, Mapping[str, Any]],
    name: str,
    lost: tuple[Skipped, ...],
) -> Blueprint:
    for given in tensors:
        if given.kept and checkpoint.tensors[given.kept].note:
            raise _overlapping(given.kept)
    root = flat_tree(checkpoint, tensors, metadata)
    refs = {given.ref.name: replace(given.ref, storage="", note="") for given in tensors}
    return Blueprint(_FORMAT, (_file(name, root, checkpoint),), refs, lost)


def _rewriting(checkpoint: Checkpoint, draft: Draft, content: Content, name: str) -> Blueprint:
    if checkpoint.opaque and not draft.drop_opaque:
        raise _foreign(checkpoint)
    nodes = {full_name(*place): node for *place, node in _tensors(content.root, content)}
    result = rewritten(content.root, draft, checkpoint, nodes)
    _check_places(draft, result.placed)
    refs = _refs(_tensors(result.root, content))
    gone = (each for each in nodes if each not in refs and each not in result.placed)
    lost = (Skipped(each, "stands in what is left out") for each in gone)
    return Blueprint(
        _FORMAT,
        (_file(name, result.root, checkpoint, content),),
        refs,
        (*result.dropped, *lost, *_constants(checkpoint)),
        _notes(checkpoint),
    )


def _tensors(root: object, content: Content) -> list[tuple[str, str, TensorNode]]:
    return find_tensors(root, Meter(content.budgets)).tensors


def _refs(tensors: Iterable[tuple[str, str, TensorNode]]) -> dict[str, TensorRef]:
    """What opening the output will show.

    Raises:
        CheckpointError: Two tensors have one name.
        RefusedError: A tensor is an overlapping view.
    """
    refs: dict[str, TensorRef] = {}
    for section, key, node in tensors:
        nbytes = data_bytes(node.shape, node.dtype)
        ref = TensorRef(section, key, node.shape, node.dtype, nbytes)
        if ref.name in refs:
            raise CheckpointError(f"{quoted(ref.name)} would be the name of two tensors")
        if overlaps(node.shape, node.stride):
            raise _overlapping(ref.name)
        refs[ref.name] = ref
    return refs


def _file(
    name: str, root: object, checkpoint: Checkpoint, content: Content | None = None
) -> TorchFile:
    pickle, storages = pickled(root)
    return TorchFile(name, pickle, tuple(storages), checkpoint, content)


def _check_places(draft: Draft, placed: Collection[str]) -> None:
    lost = [name for name in draft.places if name not in placed]
    if lost:
        listed = several(map(quoted, lost), most=3)
        raise CheckpointError(f"nothing can stand in the place of {listed}: it is left out")


def _overlapping(name: str) -> RefusedError:
    return RefusedError(
        f"{quoted(name)} is not written: two of its elements may be one number in the file",
        hint="save a copy in its place: tensor.clone()",
    )


def _foreign(checkpoint: Checkpoint) -> RefusedError:
    listed = several(quoted(each.what)[1:-1] for each in checkpoint.opaque)
    return RefusedError(
        f"holds objects that cannot be written back: {listed}",
        hint="--drop-opaque writes what is beside them",
    )


def _constants(checkpoint: Checkpoint) -> list[Skipped]:
    """What a TorchScript archive holds outside of its pickle."""
    if checkpoint.format != "torchscript":
        return []
    outside = [each for each in checkpoint.skipped if each.reason == "TorchScript constants"]
    return [Skipped("code/…", "TorchScript code"), *outside]


def _notes(checkpoint: Checkpoint) -> tuple[str, ...]:
    if checkpoint.format == _FORMAT:
        return ()
    return (f"{checkpoint.format} is written as {_FORMAT}, which torch.save writes today",)
