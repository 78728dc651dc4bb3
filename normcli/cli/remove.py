"""`normcli remove`: a checkpoint with its norms baked into plain weights."""

from functools import partial
from typing import Annotated

import typer

from normcli.cli import arguments
from normcli.cli.writer import Rewrite, writer
from normcli.cli.writing import Writing
from normcli.errors import UsageError

EXAMPLES = """\
normcli remove model.pt                writes model.plain.pt
normcli remove gan.pt --include 'G/*' -o generator.pt
normcli remove model.pt --dry-run      what would change; nothing is written
normcli remove model.pt --sigma exact  divides by the exact spectral norm
normcli remove vocoder.safetensors --in-place --receipt receipt.json
"""

SIGMAS = ("stored", "exact")

_NORM = "The norm"

Sigma = Annotated[
    str,
    typer.Option(
        "--sigma",
        metavar="KIND",
        show_default=False,
        help="What a spectral norm divides by: stored, the σ of the layer in eval mode, or exact, "
        "the largest singular value. Default: stored.",
        rich_help_panel=_NORM,
    ),
]
Restore = Annotated[
    bool,
    typer.Option(
        "--restore",
        help="Give the original of a spectral norm back instead, undivided.",
        rich_help_panel=_NORM,
    ),
]


@writer
def remove(_: Writing, *, sigma: Sigma = "stored", restore: Restore = False) -> Rewrite:
    """Write a checkpoint with norms baked into plain weights: NAME.plain.SUFFIX.

    Each weight is what the layer computes with in eval mode, bit for bit as torch removes the norm.
    Everything else in the file stays as it is.
    """
    arguments.one_of(sigma, SIGMAS, what="σ", where="--sigma")
    if restore and sigma == "exact":
        raise UsageError("--restore and --sigma exact exclude each other")

    from normcli.commands.remove import remove as rewrite

    return partial(rewrite, sigma=sigma, restore=restore)
