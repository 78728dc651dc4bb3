"""The options of the commands that write a checkpoint, each spelled once, and what all share."""

from dataclasses import dataclass
from typing import Annotated

import typer

from normcli.cli.measuring import Dims
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
from normcli.render.rewriting_formats import REWRITING_FORMATS

WRITE, _SAY = "What to write", "What to say of it"

Path = Annotated[
    str,
    typer.Argument(
        metavar="PATH",
        help="A checkpoint: .safetensors, .pt, .pth, .bin, an index, or a folder of shards.",
        show_default=False,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="PATH",
        help="The checkpoint to write: a file, or a folder for shards; the suffix is its format.",
        rich_help_panel=WRITE,
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Replace an output or a receipt that exists.", rich_help_panel=WRITE
    ),
]
InPlace = Annotated[
    bool,
    typer.Option(
        "--in-place",
        help="Replace PATH itself, once the new file is complete and verified; no -o, no --force.",
        rich_help_panel=WRITE,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Show the plan, write nothing.", rich_help_panel=WRITE),
]
AllowNonfinite = Annotated[
    bool,
    typer.Option(
        "--allow-nonfinite",
        help="Write weights that become NaN or infinite; they are left as they are otherwise.",
        rich_help_panel=WRITE,
    ),
]
DropOptimizer = Annotated[
    bool,
    typer.Option(
        "--drop-optimizer",
        help="Leave out optimizer states, which no longer fit the parameters.",
        rich_help_panel=WRITE,
    ),
]
DropOpaque = Annotated[
    bool,
    typer.Option(
        "--drop-opaque",
        help="Leave out what the output cannot hold: foreign objects, or all but tensors.",
        rich_help_panel=WRITE,
    ),
]
Receipt = Annotated[
    str | None,
    typer.Option(
        "--receipt",
        metavar="FILE",
        help="Write what was done to a file, as JSON: options, hashes, every weight.",
        rich_help_panel=_SAY,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "-f",
        "--format",
        metavar="FORMAT",
        help="Say what was done on standard output, in place of the path of the output: "
        f"{', '.join(REWRITING_FORMATS)}.",
        rich_help_panel=_SAY,
    ),
]


@dataclass(frozen=True, slots=True)
class Writing:
    """What every command that writes a checkpoint is told, in the order of its help page.

    `no_config` says nothing here: its callback has acted.
    """

    path: Path
    output: Output = None
    force: Force = False
    in_place: InPlace = False
    dry_run: DryRun = False
    allow_nonfinite: AllowNonfinite = False
    drop_optimizer: DropOptimizer = False
    drop_opaque: DropOpaque = False
    receipt: Receipt = None
    format_: Format = None
    include: Include = None
    exclude: Exclude = None
    dims: Dims = None
    jobs: Jobs = None
    memory: Memory = None
    budget_scale: BudgetScale = 1.0
    expect_sha256: ExpectSha256 = None
    quiet: Quiet = False
    verbose: Verbose = False
    color: Color = "auto"
    show_progress: ShowProgress = True
    debug: Debug = False
    config: Config = None
    no_config: NoConfig = False
