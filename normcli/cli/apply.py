"""`normcli apply`: a checkpoint with a norm applied."""

from typing import TYPE_CHECKING, Annotated

import typer

from normcli.cli import account, arguments
from normcli.cli.measuring import Dims, Rtol, Seed
from normcli.cli.messages import Voice
from normcli.cli.options import (
    BudgetScale,
    Color,
    Config,
    Debug,
    Exclude,
    ExpectSha256,
    Include,
    Jobs,
    Memory,
    NoConfig,
    Quiet,
    ShowProgress,
    Verbose,
)
from normcli.cli.writing import (
    AllowNonfinite,
    DropOpaque,
    DropOptimizer,
    DryRun,
    Force,
    Format,
    InPlace,
    Output,
    Path,
    Receipt,
)
from normcli.errors import UsageError

if TYPE_CHECKING:
    from normcli.cli.progress import Observe
    from normcli.records import Rewriting

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


def apply(
    path: Path,
    *,
    spectral: Spectral = False,
    weight: Weight = False,
    layout: Layout = None,
    stack: Stack = False,
    iterations: Iterations = None,
    coefficient: Coefficient = None,
    clip: Clip = None,
    output: Output = None,
    force: Force = False,
    in_place: InPlace = False,
    dry_run: DryRun = False,
    allow_nonfinite: AllowNonfinite = False,
    drop_optimizer: DropOptimizer = False,
    drop_opaque: DropOpaque = False,
    receipt: Receipt = None,
    format_: Format = None,
    include: Include = None,
    exclude: Exclude = None,
    seed: Seed = 0,
    rtol: Rtol = 1e-6,
    dims: Dims = None,
    jobs: Jobs = None,
    memory: Memory = None,
    budget_scale: BudgetScale = 1.0,
    expect_sha256: ExpectSha256 = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    color: Color = "auto",
    show_progress: ShowProgress = True,
    debug: Debug = False,
    config: Config = None,
    no_config: NoConfig = False,
) -> int:
    """Write a checkpoint with a norm applied: NAME.spectral.SUFFIX or NAME.weight.SUFFIX.

    The layers compute what they did, but for the division by σ₁ under a spectral norm. Everything
    else in the file stays as it is.
    """
    del no_config  # its callback has acted
    voice = Voice.choose(color, debug=debug, quiet=quiet, verbose=verbose)
    voice.say(f"configuration: {config or 'none'}")
    norm = _norm(spectral=spectral, weight=weight)
    if layout is not None:
        arguments.one_of(layout, LAYOUTS, what="layout", where="--layout")
    told = account.plan(
        voice,
        color,
        chosen=format_,
        receipt=receipt,
        path=path,
        output=output,
        force=force,
        in_place=in_place,
        dry_run=dry_run,
    )
    arguments.one_file(expect_sha256, [path])
    arguments.fraction("--rtol", rtol)
    arguments.positive("--coefficient", coefficient)
    arguments.positive("--clip", clip)
    axes = arguments.axes(dims or ())
    budget = None if memory is None else arguments.size(memory)

    from normcli.commands.apply import apply as rewrite

    def write(file: str, observe: "Observe") -> "Rewriting":
        return rewrite(
            file,
            norm=norm,
            layout=layout,
            stack=stack,
            iterations=iterations,
            seed=seed,
            coefficient=coefficient,
            clip=clip,
            rtol=rtol,
            output=output,
            force=force,
            in_place=in_place,
            include=include or (),
            exclude=exclude or (),
            dims=axes,
            allow_nonfinite=allow_nonfinite,
            drop_optimizer=drop_optimizer,
            drop_opaque=drop_opaque,
            dry_run=dry_run,
            jobs=jobs,
            memory=budget,
            budget_scale=budget_scale,
            sha256=told.hashes,
            expect_sha256=expect_sha256,
            observe=observe,
        )

    return account.give(told, path, write, show_progress=show_progress)


def _norm(*, spectral: bool, weight: bool) -> str:
    if spectral == weight:
        found = "both --spectral and --weight" if spectral else "no norm"
        raise UsageError(f"{found} given, expected --spectral or --weight", hint=_HINT)
    return "spectral" if spectral else "weight"
