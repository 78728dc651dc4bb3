"""`initialize_checkpoint`: a checkpoint whose layers are initialized from a batch."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from normcli.commands.request import Request
from normcli.commands.rewriting import rewritten
from normcli.errors import UsageError, closest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from torch import nn
    from typing_extensions import Unpack

    from normcli.commands.request import Asked
    from normcli.formats.base import Checkpoint
    from normcli.initialization.options import InitializeOptions
    from normcli.records import Rewriting
    from normcli.rewrite import Planned

_SEEDS = range(-(2**63), 2**64)  # a negative one means what is left of 2⁶⁴
_LAYOUTS = ("legacy", "parametrized", "plain")


def initialize_checkpoint(
    path: str | PathLike[str],
    *,
    model: str | nn.Module,
    batch: str | PathLike[str],
    model_args: Sequence[Any] | Mapping[str, Any] = (),
    layout: str | None = None,
    section: str | None = None,
    prefix: str = "",
    training: bool = False,
    seed: int = 0,
    strict: bool = False,
    **asked: Unpack[Asked],
) -> Rewriting:
    """Initialize every layer of a checkpoint from a batch (Salimans & Kingma 2016, section 3).

    The one function that runs code which it is told of by name: that of `model`, never anything
    from the checkpoint or the batch.

    Args:
        path: A file, a folder of shards, an index, or one shard. Loaded into the model strictly,
            respelled to the norms that its modules have.
        model: `package.module:factory`, which is imported and called; or a model, which is filled
            and changed.
        batch: File of the forward arguments by name, or of one tensor `input`: .safetensors, .npy.
        model_args: The factory is called with, by position or by name.
        layout: How initialized weights are stored: `legacy` or `parametrized` weight norm, or
            `plain`; as each was without one.
        section: State dict of the file, where it holds several that could be meant.
        prefix: Of the model's keys in it (`module.`).
        training: Run the model in training mode instead of evaluation mode.
        seed: Of the random numbers that the model draws.
        strict: Raise if a weight of two axes or more is left.
        **asked: What every writer takes, see `Asked`.

    Raises:
        CheckpointError: Checkpoint or batch cannot be read, or the checkpoint does not fit.
        OutputError: The output cannot be written.
        UsageError: An option cannot be meant, or the model fails.
    """
    from normcli.initialization.options import InitializeOptions

    if layout is not None and layout not in _LAYOUTS:
        hint = closest(layout, _LAYOUTS)
        raise UsageError(f"no layout is called {layout!r}", where="--layout", hint=hint)
    if seed not in _SEEDS:
        raise UsageError(f"{seed} is no seed of torch, expected 64 bits", where="--seed")
    request = Request(**asked)
    shared = request.options()
    options = InitializeOptions(
        include=shared.include,
        exclude=shared.exclude,
        dims=shared.dims,
        allow_nonfinite=shared.allow_nonfinite,
        thorough=shared.thorough,
        layout=layout,
        seed=seed,
        model=model if isinstance(model, str) else type(model).__qualname__,
        model_args=model_args,
        batch=os.fspath(batch),
        section=section,
        prefix=prefix,
        training=training,
        strict=strict,
    )
    plan = partial(_plan, options, model, hashed=request.sha256)
    return rewritten(
        "initialize", path, options, request, word="initialized", plan=plan, batch=batch
    )


def _plan(
    options: InitializeOptions, model: str | nn.Module, checkpoint: Checkpoint, *, hashed: bool
) -> Planned:
    """The steps: the batch is read first, since nothing of it is run."""
    from normcli.initialization.batch import read_batch
    from normcli.initialization.factory import built, check_values
    from normcli.initialization.from_file import plan

    batch = read_batch(options.batch, hashed=hashed)
    if isinstance(model, str):
        return plan(checkpoint, options, built(model, options.model_args), batch)
    _check_model(model, options)
    check_values(model, where="--model")
    return plan(checkpoint, options, model, batch)


def _check_model(model: object, options: InitializeOptions) -> None:
    from torch import nn

    if not isinstance(model, nn.Module):
        found = f"is of type {type(model).__name__}, expected a name or a torch.nn.Module"
        hint = "name what builds it: 'package.module:factory'"
        raise UsageError(found, where="--model", hint=hint)
    if options.model_args:
        message = "are given for a model, which takes no arguments"
        raise UsageError(message, where="--model-args")
