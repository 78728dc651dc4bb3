"""`normcli trace`: the power iteration of one weight, step by step."""

from typing import Annotated

import typer

from normcli import __version__
from normcli.cli import arguments, products
from normcli.cli.measuring import PANEL, Certificate, Dims, FailureProbability, Rtol, Seed
from normcli.cli.messages import Voice
from normcli.cli.options import (
    AllowOpaque,
    BudgetScale,
    Color,
    Config,
    Debug,
    ExpectSha256,
    Force,
    Format,
    NoConfig,
    Output,
    Quiet,
    Reports,
    Verbose,
)
from normcli.cli.paths import each, exit_code
from normcli.records import Trace
from normcli.render.trace import TraceDocument
from normcli.render.trace_formats import TRACE_FORMATS

EXAMPLES = """\
normcli trace gan.pt D/conv.weight
normcli trace model.safetensors fc.weight --iterations 100
normcli trace gan.pt conv.weight --format json | jq .predicted
"""

Path = Annotated[
    str,
    typer.Argument(
        metavar="PATH",
        help="A checkpoint: .safetensors, .pt, .pth, .bin, an index, or a folder of shards.",
        show_default=False,
    ),
]
WeightName = Annotated[
    str,
    typer.Argument(
        metavar="WEIGHT",
        help="SECTION/KEY, or a KEY that stands in one section.",
        show_default=False,
    ),
]
Iterations = Annotated[
    int,
    typer.Option(
        "--iterations",
        metavar="N",
        min=0,
        help="Steps of the power iteration. Default: 20.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]


def trace(
    path: Path,
    weight: WeightName,
    *,
    format_: Format = None,
    output: Output = None,
    force: Force = False,
    reports: Reports = None,
    iterations: Iterations = 20,
    seed: Seed = 0,
    rtol: Rtol = 1e-6,
    certificate: Certificate = "probabilistic",
    failure_probability: FailureProbability = 1e-10,
    dims: Dims = None,
    allow_opaque: AllowOpaque = False,
    budget_scale: BudgetScale = 1.0,
    expect_sha256: ExpectSha256 = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    color: Color = "auto",
    debug: Debug = False,
    config: Config = None,
    no_config: NoConfig = False,
) -> int:
    """Follow the power iteration of one weight: σ̂ after each step beside the exact σ₁.

    Under a spectral norm it is that of the original, from the stored u and v in the update order
    of the layout; else that of the effective weight, from a random start.
    """
    del no_config  # its callback has acted
    voice = Voice.choose(color, debug=debug, quiet=quiet, verbose=verbose)
    voice.say(f"configuration: {config or 'none'}")
    wanted = products.plan(format_, output, reports or (), force=force, inputs=[path])
    arguments.one_file(expect_sha256, [path])
    arguments.bracket(rtol, certificate, failure_probability)
    axes = arguments.axes(dims or ())

    from normcli.commands.trace import trace as follow

    def traced(file: str) -> Trace:
        return follow(
            file,
            weight,
            iterations=iterations,
            seed=seed,
            rtol=rtol,
            certificate=certificate,
            failure_probability=failure_probability,
            dims=axes,
            allow_opaque=allow_opaque,
            budget_scale=budget_scale,
            expect_sha256=expect_sha256,
        )

    found = each([path], traced, voice)
    for result in found:
        document = TraceDocument(result, __version__)
        products.deliver(wanted, document, TRACE_FORMATS, color=color)
    return exit_code([path], found)
