"""`normcli remove`: a checkpoint with its norms baked into plain weights."""

from typing import TYPE_CHECKING, Annotated

import typer

from normcli.cli import account, arguments
from normcli.cli.measuring import Dims
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


def remove(
    path: Path,
    *,
    sigma: Sigma = "stored",
    restore: Restore = False,
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
    """Write a checkpoint with norms baked into plain weights: NAME.plain.SUFFIX.

    Each weight is what the layer computes with in eval mode, bit for bit as torch removes the norm.
    Everything else in the file stays as it is.
    """
    del no_config  # its callback has acted
    voice = Voice.choose(color, debug=debug, quiet=quiet, verbose=verbose)
    voice.say(f"configuration: {config or 'none'}")
    arguments.one_of(sigma, SIGMAS, what="σ", where="--sigma")
    if restore and sigma == "exact":
        raise UsageError("--restore and --sigma exact exclude each other")
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
    axes = arguments.axes(dims or ())
    budget = None if memory is None else arguments.size(memory)

    from normcli.commands.remove import remove as rewrite

    def write(file: str, observe: "Observe") -> "Rewriting":
        return rewrite(
            file,
            sigma=sigma,
            restore=restore,
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
