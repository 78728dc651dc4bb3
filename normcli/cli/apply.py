"""`normcli apply`: a checkpoint with a norm applied."""

from functools import partial
from typing import Annotated

import typer

from normcli.cli import arguments
from normcli.cli.measuring import Rtol, Seed
from normcli.cli.writer import Rewrite, writer
from normcli.cli.writing import Writing
from normcli.errors import UsageError

EXAMPLES = """\
normcli apply --spectral model.pt               writes model.spectral.pt
normcli apply --weight model.safetensors --include 'decoder.*'
normcli apply --spectral gan.pt --dim 'up.*=1' --dry-run
normcli apply --spectral model.pt --layout plain     divides for good
normcli apply --spectral model.pt --layout plain --clip 1 -o clipped.pt
normcli apply --spectral model.pt --receipt receipt.json
"""

LAYOUTS = ("parametrized", "legacy", "plain")

_NORM = "The norm"
_HINT = "normcli apply --spectral model.pt"

Spectral = Annotated[
    bool,
    typer.Option(
        "--spectral",
        help="Spectral norm: the weight divided by its largest singular value.",
        rich_help_panel=_NORM,
    ),
]
Weight = Annotated[
    bool,
    typer.Option(
        "--weight",
        help="Weight norm: a length g and a direction v.",
        rich_help_panel=_NORM,
    ),
]
Layout = Annotated[
    str | None,
    typer.Option(
        "--layout",
        metavar="NAME",
        help="Spelling of the keys: parametrized, legacy; or plain: divide for good, keep no norm. "
        "Default: that of the norms in the file, else parametrized.",
        rich_help_panel=_NORM,
    ),
]
Stack = Annotated[
    bool,
    typer.Option(
        "--stack",
        help="On top of a parametrized norm that is there.",
        rich_help_panel=_NORM,
    ),
]
Iterations = Annotated[
    int | None,
    typer.Option(
        "--iterations",
        metavar="N",
        min=0,
        help="Power steps from a random start, as torch does at first. Default: u and v converged.",
        rich_help_panel=_NORM,
    ),
]
Coefficient = Annotated[
    float | None,
    typer.Option(
        "--coefficient",
        metavar="C",
        show_default=False,
        help="With --layout plain: the largest singular value afterwards. Default: 1.",
        rich_help_panel=_NORM,
    ),
]
Clip = Annotated[
    float | None,
    typer.Option(
        "--clip",
        metavar="C",
        help="With --layout plain: scale down to C where the largest singular value is above it.",
        rich_help_panel=_NORM,
    ),
]


@writer
def apply(
    _: Writing,
    *,
    spectral: Spectral = False,
    weight: Weight = False,
    layout: Layout = None,
    stack: Stack = False,
    iterations: Iterations = None,
    coefficient: Coefficient = None,
    clip: Clip = None,
    seed: Seed = 0,
    rtol: Rtol = 1e-6,
) -> Rewrite:
    """Write a checkpoint with a norm applied: NAME.spectral.SUFFIX or NAME.weight.SUFFIX.

    The layers compute what they did, but for the division by σ₁ under a spectral norm. Everything
    else in the file stays as it is.
    """
    norm = _norm(spectral=spectral, weight=weight)
    if layout is not None:
        arguments.one_of(layout, LAYOUTS, what="layout", where="--layout")
    arguments.fraction("--rtol", rtol)
    arguments.positive("--coefficient", coefficient)
    arguments.positive("--clip", clip)

    from normcli.commands.apply import apply as rewrite

    return partial(
        rewrite,
        norm=norm,
        layout=layout,
        stack=stack,
        iterations=iterations,
        coefficient=coefficient,
        clip=clip,
        seed=seed,
        rtol=rtol,
    )


def _norm(*, spectral: bool, weight: bool) -> str:
    if spectral == weight:
        found = "both --spectral and --weight" if spectral else "no norm"
        raise UsageError(f"{found} given, expected --spectral or --weight", hint=_HINT)
    return "spectral" if spectral else "weight"
