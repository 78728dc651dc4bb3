"""`remove`: effective weights under their plain names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from normcli.commands.request import Request
from normcli.commands.rewriting import rewritten
from normcli.errors import UsageError, closest

if TYPE_CHECKING:
    from os import PathLike

    from typing_extensions import Unpack

    from normcli.commands.request import Asked
    from normcli.records import Rewriting


def remove(
    path: str | PathLike[str],
    *,
    sigma: str = "stored",
    restore: bool = False,
    rtol: float = 1e-6,
    **asked: Unpack[Asked],
) -> Rewriting:
    """Take every norm off: what the layers compute with in eval mode becomes the weight.

    Args:
        path: A file, a folder of shards, an index, or one shard.
        sigma: `stored` divides by the σ of the stored u and v, bit for bit as torch does;
            `exact` by the largest singular value.
        restore: Write the original of a spectral norm instead.
        rtol: Relative width of the bracket that holds an exact σ₁.
        **asked: What every writer takes, see `Asked`.

    Raises:
        CheckpointError: The input cannot be read, or is refused.
        OutputError: The output cannot be written.
        UsageError: An option cannot be meant.
    """
    if sigma not in ("stored", "exact"):
        hint = closest(sigma, ("stored", "exact"))
        raise UsageError(f"{sigma!r} is not a choice", where="--sigma", hint=hint)
    if restore and sigma == "exact":
        raise UsageError("the original is divided by nothing: excludes --sigma", where="--restore")
    request = Request(**asked)
    options = replace(request.options(), exact=sigma == "exact", restore=restore, rtol=rtol)
    return rewritten("remove", path, options, request, word="plain")
