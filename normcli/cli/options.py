"""The options, each spelled once: every command takes those that make sense for it.

Those that say what is computed are in `measuring`, those of the commands that write a checkpoint
in `writing`.
"""

from typing import Annotated

import typer

from normcli import __version__
from normcli.cli.config import no_config, with_config
from normcli.records import DEVICES
from normcli.render import FORMATS

_SHOW, _WEIGHTS = "What to show", "Which weights"
_SCALE, _SAFETY, _MESSAGES = "Scale", "Safety", "Messages and configuration"


def _version(value: bool) -> None:
    if value:
        typer.echo(f"normcli {__version__}")
        raise typer.Exit


Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH...",
        help="Checkpoints: .safetensors, .pt, .pth, .bin, an index, or a folder of shards.",
        show_default=False,
    ),
]
Version = Annotated[
    bool,
    typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
]

Format = Annotated[
    str | None,
    typer.Option(
        "-f",
        "--format",
        metavar="FORMAT",
        help=f"{', '.join(FORMATS)}. Default: table on a terminal, plain in a pipe, "
        "else by the suffix of --output.",
        rich_help_panel=_SHOW,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="PATH",
        help="Write to a file, whole or not at all; - is standard output.",
        rich_help_panel=_SHOW,
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Replace files that exist.", rich_help_panel=_SHOW),
]
Reports = Annotated[
    list[str] | None,
    typer.Option(
        "--report",
        metavar="FORMAT=PATH",
        help="A further output of the same pass. May be repeated.",
        rich_help_panel=_SHOW,
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="A,B,...",
        help="Columns, by their names in CSV.",
        rich_help_panel=_SHOW,
    ),
]
Sort = Annotated[
    str | None,
    typer.Option(
        "--sort",
        metavar="COLUMN[:desc]",
        help="Order of the weights of each checkpoint.",
        rich_help_panel=_SHOW,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        min=1,
        help="Show the first N weights of each checkpoint.",
        rich_help_panel=_SHOW,
    ),
]

Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        metavar="GLOB",
        help="Only these weights: SECTION/KEY or KEY. May be repeated.",
        rich_help_panel=_WEIGHTS,
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="GLOB",
        help="Not these. May be repeated; wins over --include.",
        rich_help_panel=_WEIGHTS,
    ),
]
Everything = Annotated[
    bool,
    typer.Option("--all", help="Vectors and scalars as well.", rich_help_panel=_WEIGHTS),
]

Jobs = Annotated[
    int | None,
    typer.Option(
        "-j",
        "--jobs",
        metavar="N",
        min=1,
        envvar="NORMCLI_JOBS",
        help="Weights worked on at the same time. Default: one a processor.",
        rich_help_panel=_SCALE,
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        envvar="NORMCLI_MEMORY",
        help="Bytes of weights in flight: 2GB, 512MiB, 1000000.",
        rich_help_panel=_SCALE,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        envvar="NORMCLI_DEVICE",
        help=f"Where spectral norms are computed: {', '.join(DEVICES)}. Default: cpu.",
        show_default=False,
        rich_help_panel=_SCALE,
    ),
]

AllowOpaque = Annotated[
    bool,
    typer.Option(
        "--allow-opaque",
        help="Read the tensors of a file that holds foreign objects; those are never built.",
        rich_help_panel=_SAFETY,
    ),
]
BudgetScale = Annotated[
    float,
    typer.Option(
        "--budget-scale",
        metavar="X",
        help="Allow headers X times as large as the limits that protect against hostile files. "
        "Default: 1.",
        show_default=False,
        rich_help_panel=_SAFETY,
    ),
]
ExpectSha256 = Annotated[
    str | None,
    typer.Option(
        "--expect-sha256",
        metavar="HEX",
        help="Refuse any other file.",
        rich_help_panel=_SAFETY,
    ),
]

Quiet = Annotated[
    bool,
    typer.Option("-q", "--quiet", help="Say only errors.", rich_help_panel=_MESSAGES),
]
Verbose = Annotated[
    bool,
    typer.Option("-v", "--verbose", help="Say what is done.", rich_help_panel=_MESSAGES),
]
Color = Annotated[
    str,
    typer.Option(
        "--color",
        metavar="WHEN",
        envvar="NORMCLI_COLOR",
        help="auto, always or never.",
        show_default=False,
        rich_help_panel=_MESSAGES,
    ),
]
ShowProgress = Annotated[
    bool,
    typer.Option(
        " /--no-progress",
        envvar="NORMCLI_PROGRESS",
        help="Show no progress bar.",
        show_default=False,
        rich_help_panel=_MESSAGES,
    ),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="Show where in the code an error was raised.",
        rich_help_panel=_MESSAGES,
    ),
]
NoConfig = Annotated[
    bool,
    typer.Option(
        "--no-config",
        is_eager=True,
        callback=no_config,
        help="Read no configuration file.",
        rich_help_panel=_MESSAGES,
    ),
]
Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        is_eager=True,
        callback=with_config,
        help="Instead of the nearest normcli.toml or [tool.normcli] in pyproject.toml.",
        rich_help_panel=_MESSAGES,
    ),
]
