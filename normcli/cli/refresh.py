"""`normcli refresh`: a checkpoint with u and v of its spectral norms computed anew."""

from functools import partial
from typing import Annotated

import typer

from normcli.cli import arguments
from normcli.cli.measuring import Rtol
from normcli.cli.writer import Rewrite, writer
from normcli.cli.writing import Writing

EXAMPLES = """\
normcli refresh model.pt                       writes model.refreshed.pt
normcli refresh gan.pt --include 'D/*' --in-place
normcli refresh model.pt --iterations 5        five more steps, as in training
normcli refresh model.pt --dry-run
"""

_NORM = "The norm"

Iterations = Annotated[
    int | None,
    typer.Option(
        "--iterations",
        metavar="N",
        min=1,
        help="Power steps from the stored u and v, as the layer takes them in training. "
        "Default: u and v converged.",
        rich_help_panel=_NORM,
    ),
]


@writer
def refresh(_: Writing, *, iterations: Iterations = None, rtol: Rtol = 1e-6) -> Rewrite:
    """Write a checkpoint with u and v of its spectral norms computed anew: NAME.refreshed.SUFFIX.

    The originals stay bit for bit; the layers divide by the largest singular value afterwards.
    """
    arguments.fraction("--rtol", rtol)

    from normcli.commands.refresh import refresh as rewrite

    return partial(rewrite, iterations=iterations, rtol=rtol)
