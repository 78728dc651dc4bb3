"""`refresh`: u and v of spectral norms computed anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from normcli.commands.request import Request
from normcli.commands.rewriting import rewritten
from normcli.errors import UsageError

if TYPE_CHECKING:
    from os import PathLike

    from typing_extensions import Unpack

    from normcli.commands.request import Asked
    from normcli.records import Rewriting


def refresh(
    path: str | PathLike[str],
    *,
    iterations: int | None = None,
    rtol: float = 1e-6,
    **asked: Unpack[Asked],
) -> Rewriting:
    """Compute u and v of every spectral norm anew; the originals stay as they are.

    Args:
        path: A file, a folder of shards, an index, or one shard.
        iterations: So many of torch's own power steps from the stored u and v; without it the
            converged top singular pair.
        rtol: Relative width of the bracket that holds σ₁.
        **asked: What every writer takes, see `Asked`.

    Raises:
        CheckpointError: The input cannot be read, or is refused.
        OutputError: The output cannot be written.
        UsageError: An option cannot be meant.
    """
    if iterations is not None and iterations < 0:
        raise UsageError(f"is {iterations}, expected 0 or more", where="--iterations")
    request = Request(**asked)
    options = replace(request.options(), iterations=iterations, rtol=rtol)
    return rewritten("refresh", path, options, request, word="refreshed")
