"""`normcli ls`: the header of some checkpoints, no tensor of them read."""

import time

from normcli import __version__
from normcli.cli import arguments, products
from normcli.cli.messages import Voice
from normcli.cli.options import (
    AllowOpaque,
    BudgetScale,
    Color,
    Columns,
    Config,
    Debug,
    Everything,
    Exclude,
    Force,
    Format,
    Include,
    Limit,
    NoConfig,
    Output,
    Paths,
    Quiet,
    Reports,
    Sort,
    Verbose,
)
from normcli.cli.paths import each, exit_code
from normcli.records import Listing
from normcli.render.listed import LISTING, listing_document

EXAMPLES = """\
normcli ls model.safetensors
normcli ls gan.pt --all                          vectors and scalars as well
normcli ls model.pt --sort bytes:desc --limit 10
normcli ls model.pt --columns name,state_parts
"""


def ls(
    paths: Paths,
    *,
    format_: Format = None,
    output: Output = None,
    force: Force = False,
    reports: Reports = None,
    columns: Columns = None,
    sort: Sort = None,
    limit: Limit = None,
    include: Include = None,
    exclude: Exclude = None,
    everything: Everything = False,
    allow_opaque: AllowOpaque = False,
    budget_scale: BudgetScale = 1.0,
    quiet: Quiet = False,
    verbose: Verbose = False,
    color: Color = "auto",
    debug: Debug = False,
    config: Config = None,
    no_config: NoConfig = False,
) -> int:
    """List every weight from the header: shape, dtype, bytes, norm state. No tensor is read."""
    del no_config  # its callback has acted
    started = time.monotonic()
    voice = Voice.choose(color, debug=debug, quiet=quiet, verbose=verbose)
    voice.say(f"configuration: {config or 'none'}")
    order = arguments.order(sort, limit, LISTING.columns)
    chosen = arguments.columns(columns, LISTING.columns)
    wanted = products.plan(format_, output, reports or (), force=force, inputs=paths)

    from normcli.commands.ls import ls as list_weights

    def listed(path: str) -> Listing:
        return list_weights(
            path,
            include=include or (),
            exclude=exclude or (),
            everything=everything,
            allow_opaque=allow_opaque,
            budget_scale=budget_scale,
        )

    found = each(paths, listed, voice)
    seconds = time.monotonic() - started
    document = listing_document(
        found, version=__version__, order=order, chosen=chosen, seconds=seconds
    )
    products.write(wanted, document, color=color)
    return exit_code(paths, found)
