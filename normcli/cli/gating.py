"""The options of the gate, each spelled once, and what is refused before a checkpoint is read."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from normcli.cli.arguments import one_of
from normcli.cli.products import Formats
from normcli.errors import UsageError
from normcli.records import FAIL_ON
from normcli.render.gate import GATE_FORMATS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from normcli.records import Policy

PANEL, _SHOW = "What is demanded", "What to show"

# The same in a terminal and in a pipe: nobody reads the log of a gate while it is written.
GATE = Formats(
    GATE_FORMATS,
    {".json": "json", ".md": "markdown", ".sarif": "sarif", ".xml": "junit"},
    "full",
    "full",
)

GatePaths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH...",
        help="Checkpoints: .safetensors, .pt, .pth, .bin, an index, or a folder of shards. "
        "A folder is one checkpoint; each of several is named.",
        show_default=False,
    ),
]
PolicyFile = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        help="What is demanded. Default: the nearest normcli.toml or [tool.normcli] in "
        "pyproject.toml that holds a policy, else the built-in one.",
        rich_help_panel=PANEL,
    ),
]
BaselineFile = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        metavar="FILE",
        help="Recorded norms to compare with, as 'normcli baseline write' writes them.",
        rich_help_panel=PANEL,
    ),
]
FailOn = Annotated[
    str | None,
    typer.Option(
        "--fail-on",
        metavar="SEVERITY",
        help=f"Least severity that fails: {', '.join(FAIL_ON)}. Default: as the policy says, "
        "else error.",
        rich_help_panel=PANEL,
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="REPORT",
        help="Instead of PATH...: what 'normcli check --format json' has written, or 'normcli "
        "inspect --all' where it has the numbers that the policy needs.",
        rich_help_panel=PANEL,
    ),
]
GateFormat = Annotated[
    str | None,
    typer.Option(
        "-f",
        "--format",
        metavar="FORMAT",
        help=f"{', '.join(GATE_FORMATS)}. Default: full, in a pipe as well, else by the suffix "
        "of --output.",
        rich_help_panel=_SHOW,
    ),
]


def policy(named: str | None) -> "Policy":
    """The policy of `--policy`, else the nearest one, else the built-in one.

    The path of one that was found is said as seen from here: it is the same on every machine.

    Raises:
        UsageError: It is not there, or cannot be meant.
    """
    from normcli.gate.policy import built_in, find_policy, load_policy

    if named is not None:
        return load_policy(Path(named))
    path = find_policy(Path.cwd())
    return built_in() if path is None else load_policy(Path(os.path.relpath(path)))


def repository(folder: Path) -> Path:
    """The root of the repository that a folder is in; outside of one the folder itself."""
    around = (each for each in (folder, *folder.parents) if (each / ".git").exists())
    return next(around, folder)


def fail_on(severity: str | None) -> str | None:
    """The severity of `--fail-on`, if it is one."""
    if severity is None:
        return None
    return one_of(severity, FAIL_ON, what="severity", where="--fail-on")


def one_source(
    paths: "Sequence[str]", report: str | None, measuring: "Mapping[str, object]"
) -> None:
    """Refuse no checkpoints, checkpoints beside a report, and options that no report can answer.

    Args:
        paths: Of the checkpoints.
        report: The file of `--from`.
        measuring: Option → its value where it was given, else something false.

    Raises:
        UsageError: One of these.
    """
    if report is None and not paths:
        hint = "name checkpoints, or a report with --from"
        raise UsageError("missing argument 'PATH...'", hint=hint)
    if report is None:
        return
    if paths:
        raise UsageError(f"stands in place of PATH..., {paths[0]!r} was given", where="--from")
    for option, value in measuring.items():
        if value:
            raise UsageError(
                f"is for checkpoints, {report!r} is a report",
                where=option,
                hint="the numbers of a report are what they are: leave it out",
            )
