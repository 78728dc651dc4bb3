"""The options that say what is computed, and how sure it has to be."""

from typing import Annotated

import typer

from normcli.records import CERTIFICATES

PANEL = "What to compute"

Metrics = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        metavar="A,B,...",
        help="Compute only these: frobenius, spectral_norm, power_iteration, stable_rank, ...",
        rich_help_panel=PANEL,
    ),
]
PowerIterations = Annotated[
    int | None,
    typer.Option(
        "--power-iterations",
        metavar="N",
        min=1,
        help="Steps of the power iteration. Default: 1 from a stored u, else 15.",
        rich_help_panel=PANEL,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="N",
        min=0,
        help="Of every random start. Default: 0.",
        rich_help_panel=PANEL,
    ),
]
Rtol = Annotated[
    float,
    typer.Option(
        "--rtol",
        metavar="X",
        help="Relative width of the bracket that holds σ₁. Default: 1e-6.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
Certificate = Annotated[
    str,
    typer.Option(
        "--certificate",
        metavar="KIND",
        help=f"How its upper end is vouched for: {', '.join(CERTIFICATES)}. "
        "Default: probabilistic.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
FailureProbability = Annotated[
    float,
    typer.Option(
        "--failure-probability",
        metavar="P",
        help="That a probabilistic bracket does not hold, for each weight. Default: 1e-10.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
Dims = Annotated[
    list[str] | None,
    typer.Option(
        "--dim",
        metavar="GLOB=AXIS",
        help="Row axis where the file does not tell: an integer, or none. May be repeated.",
        rich_help_panel=PANEL,
    ),
]
