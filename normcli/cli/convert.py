"""`normcli convert`: the same norms under other keys, or the same tensors in another format."""

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
    WRITE,
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
normcli convert model.pt -o model.safetensors
normcli convert old.pt --layout parametrized -o new.pt
normcli convert gan.pt --include 'D/*' --layout legacy -o gan-legacy.pt
normcli convert large.safetensors --max-shard-size 5GB -o large/
normcli convert model.pt -o model.safetensors --drop-opaque --dry-run
"""

LAYOUTS = ("parametrized", "legacy")

_NORM = "The norm"

Layout = Annotated[
    str | None,
    typer.Option(
        "--layout",
        metavar="NAME",
        help=f"Spelling of the keys of norms: {', '.join(LAYOUTS)}. Default: as it is.",
        rich_help_panel=_NORM,
    ),
]
MaxShardSize = Annotated[
    str | None,
    typer.Option(
        "--max-shard-size",
        metavar="SIZE",
        help="Write a folder of shards with so many bytes each: 5GB, 512MiB.",
        rich_help_panel=WRITE,
    ),
]


def convert(
    path: Path,
    *,
    layout: Layout = None,
    output: Output = None,
    force: Force = False,
    in_place: InPlace = False,
    dry_run: DryRun = False,
    max_shard_size: MaxShardSize = None,
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
    """Respell norm states (legacy or parametrized keys) and change the format (.pt, .safetensors).

    No number changes: the model computes what it did, bit for bit.
    """
    del no_config  # its callback has acted
    voice = Voice.choose(color, debug=debug, quiet=quiet, verbose=verbose)
    voice.say(f"configuration: {config or 'none'}")
    if layout is not None:
        arguments.one_of(layout, LAYOUTS, what="layout", where="--layout")
    if output is None and not in_place:
        hint = "its suffix is the format: -o model.safetensors"
        raise UsageError("missing, expected the checkpoint to write", where="--output", hint=hint)
    shard = None if max_shard_size is None else arguments.size(max_shard_size, "--max-shard-size")
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

    from normcli.commands.convert import convert as rewrite

    def write(file: str, observe: "Observe") -> "Rewriting":
        return rewrite(
            file,
            layout=layout,
            max_shard_size=shard,
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
