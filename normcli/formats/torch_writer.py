"""Torch files out: a draft, or a list of tensors, becomes the blueprint of one zip archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from normcli.formats.base import Checkpoint
    from normcli.formats.draft import Blueprint, Draft
    from normcli.records import Given


def torch_blueprint(checkpoint: Checkpoint, draft: Draft, *, name: str = "") -> Blueprint:
    """One torch file that holds what `checkpoint` holds, but for what `draft` changes.

    Args:
        checkpoint: Of any format, open until the blueprint is written.
        draft: What differs.
        name: Of the file within its folder; empty where the output is one file.

    Raises:
        CheckpointError: A key comes twice, or the input changed.
        RefusedError: It holds what cannot be written back: foreign objects, overlapping views.
    """
    raise NotImplementedError


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
    raise NotImplementedError
