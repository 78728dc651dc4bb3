"""`convert`: the same norms in another layout, the same tensors in another format."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from normcli.commands.request import Request
from normcli.commands.rewriting import rewritten
from normcli.errors import UsageError, closest
from normcli.reparam.spelling import TARGETS

if TYPE_CHECKING:
    from os import PathLike

    from typing_extensions import Unpack

    from normcli.commands.request import Asked
    from normcli.records import Rewriting


def convert(
    path: str | PathLike[str],
    *,
    layout: str | None = None,
    max_shard_size: int | None = None,
    **asked: Unpack[Asked],
) -> Rewriting:
    """Respell norm states, and write another format where the name of the output says so.

    Args:
        path: A file, a folder of shards, an index, or one shard.
        layout: `legacy` or `parametrized`; without one only the layouts that torch does not load
            any more (version 0, `weight_bar`) are respelled, as legacy.
        max_shard_size: Bytes of tensors in one shard, for a folder of shards.
        **asked: What every writer takes, see `Asked`; `output` or `in_place` is needed.

    Raises:
        CheckpointError: The input cannot be read, or is refused.
        OutputError: The output cannot be written.
        UsageError: An option cannot be meant.
    """
    if layout is not None and layout not in TARGETS:
        hint = closest(layout, TARGETS)
        raise UsageError(f"no layout is called {layout!r}", where="--layout", hint=hint)
    request = Request(**asked, max_shard_size=max_shard_size)
    if request.output is None and not request.in_place:
        raise UsageError("no output", where="-o", hint="name it: normcli convert PATH -o OUT")
    options = replace(request.options(), layout=layout)
    return rewritten("convert", path, options, request, word="converted")
