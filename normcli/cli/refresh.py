"""`normcli refresh`: a checkpoint with u and v of its spectral norms computed anew."""

from typing import TYPE_CHECKING, Annotated

import typer

from normcli.cli import account, arguments
from normcli.cli.measuring import Dims, Rtol
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

if TYPE_CHECKING:
    from normcli.cli.progress import Observe
    from normcli.records import Rewriting

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


def refresh(
    path: Path,
    *,
    iterations: Iterations = None,
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
    """Write a checkpoint with u and v of its spectral norms computed anew: NAME.refreshed.SUFFIX.

    The originals stay bit for bit; the layers divide by the largest singular value afterwards.
    """
    del no_config  # its callback has acted
    voice = Voice.choose(color, debug=debug, quiet=quiet, verbose=verbose)
    voice.say(f"configuration: {config or 'none'}")
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
    axes = arguments.axes(dims or ())
    budget = None if memory is None else arguments.size(memory)

    from normcli.commands.refresh import refresh as rewrite

    def write(file: str, observe: "Observe") -> "Rewriting":
        return rewrite(
            file,
            iterations=iterations,
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
