"""The door to the writers: from an opened checkpoint and a draft to a blueprint."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from normcli.errors import NormcliError, UsageError, closest
from normcli.formats.writers.safetensors_writer import safetensors_blueprint
from normcli.formats.writers.sharded_writer import sharded_blueprint
from normcli.formats.writers.torch_writer import torch_blueprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from normcli.formats.base import Checkpoint
    from normcli.formats.writers.draft import Blueprint, Draft


def blueprint(checkpoint: Checkpoint, draft: Draft, output_format: str) -> Blueprint:
    """An output of that format, its headers built and its size known; torch is not imported.

    Args:
        checkpoint: Of any format; stays open until the output is written.
        draft: What differs from it.
        output_format: A key of `WRITERS`.

    Raises:
        UsageError: There is no such writer, or sharded output without a size of shards.
        CheckpointError: The format cannot hold a tensor of the input.
        RefusedError: It cannot hold other content, which was not said to be left out.
    """
    write = WRITERS.get(output_format)
    if write is None:
        message = f"no writer for the format {output_format!r}"
        raise UsageError(message, hint=closest(output_format, WRITERS))
    try:
        return write(checkpoint, draft)
    except NormcliError as error:
        error.where = error.where or checkpoint.path
        raise


# Name of the format, as in `READERS` → how an input of any format becomes an output of it.
WRITERS: dict[str, Callable[[Checkpoint, Draft], Blueprint]] = {
    "safetensors": safetensors_blueprint,
    "torch-zip": torch_blueprint,
    "sharded-safetensors": partial(sharded_blueprint, output_format="sharded-safetensors"),
    "sharded-torch": partial(sharded_blueprint, output_format="sharded-torch"),
}
