"""`normcli explain`: the rules of the gate in words."""

from typing import Annotated

import typer

from normcli import __version__
from normcli.cli import products
from normcli.cli.messages import Voice
from normcli.cli.options import Color, Config, Debug, Force, NoConfig, Output, Quiet, Verbose
from normcli.cli.products import Formats
from normcli.render.explanation import EXPLANATION_FORMATS, ExplanationDocument

EXAMPLES = """\
normcli explain                        every rule, a line each
normcli explain spectral-limit
normcli explain --format json | jq '.rules[].name'
"""

FORMATS = Formats(EXPLANATION_FORMATS, {".json": "json"}, "text", "text")

RuleName = Annotated[
    str | None,
    typer.Argument(
        metavar="[RULE]",
        help="A rule, as a policy spells it. Without one, all of them.",
        show_default=False,
    ),
]
ExplanationFormat = Annotated[
    str | None,
    typer.Option(
        "-f",
        "--format",
        metavar="FORMAT",
        help=f"{', '.join(EXPLANATION_FORMATS)}. Default: text, in a pipe as well.",
        rich_help_panel="What to show",
    ),
]


def explain(
    rule: RuleName = None,
    *,
    format_: ExplanationFormat = None,
    output: Output = None,
    force: Force = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    color: Color = "auto",
    debug: Debug = False,
    config: Config = None,
    no_config: NoConfig = False,
) -> int:
    """Tell what a rule finds, why it matters, what to do, and how a policy demands it."""
    del no_config  # its callback has acted
    voice = Voice.choose(color, debug=debug, quiet=quiet, verbose=verbose)
    voice.say(f"configuration: {config or 'none'}")
    wanted = products.plan(format_, output, (), force=force, inputs=(), formats=FORMATS)

    from normcli.commands.explain import explain as tell

    document = ExplanationDocument(tell(rule), __version__, listed=rule is None)
    products.deliver(wanted, document, EXPLANATION_FORMATS, color=color)
    return 0
