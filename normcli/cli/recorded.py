"""`normcli baseline show`: what a baseline has recorded."""

from typing import Annotated

import typer

from normcli.cli import products
from normcli.cli.baseline import File
from normcli.cli.messages import Voice
from normcli.cli.options import (
    Color,
    Config,
    Debug,
    Exclude,
    Force,
    Format,
    Include,
    NoConfig,
    Output,
    Quiet,
    Verbose,
)
from normcli.records import BASELINE_NAME

EXAMPLES = """\
normcli baseline show
normcli baseline show gan.pt --include 'D/*'
normcli baseline show --format csv -o norms.csv
"""

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME...]",
        help="Checkpoints by the names that the baseline has for them. Default: all.",
        show_default=False,
    ),
]


def show(
    names: Names = None,
    *,
    baseline: File = BASELINE_NAME,
    format_: Format = None,
    output: Output = None,
    force: Force = False,
    include: Include = None,
    exclude: Exclude = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    color: Color = "auto",
    debug: Debug = False,
    config: Config = None,
    no_config: NoConfig = False,
) -> int:
    """Show what a baseline has recorded of each weight. No checkpoint is read."""
    del no_config  # its callback has acted
    voice = Voice.choose(color, debug=debug, quiet=quiet, verbose=verbose)
    voice.say(f"configuration: {config or 'none'}")
    wanted = products.plan(format_, output, (), force=force, inputs=[baseline])

    from normcli.commands.baseline import show as read
    from normcli.render.baseline import BASELINE_FORMATS

    found = read(baseline, names=names or (), include=include or (), exclude=exclude or ())
    products.deliver(wanted, found, BASELINE_FORMATS, color=color)
    return 0
