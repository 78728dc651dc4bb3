"""The commands, and how a command line becomes a call of one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer
from typer.main import get_command

from normcli.cli import (
    apply,
    baseline,
    check,
    convert,
    explain,
    initialize,
    inspect,
    ls,
    recorded,
    refresh,
    remove,
    trace,
)
from normcli.cli.help import Command, Group
from normcli.cli.options import Version  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class CommandGroup:
    """Commands below one name.

    Attributes:
        meaning: First sentence of its help.
        commands: Name → function, as in `COMMANDS`.
        examples: As in `EXAMPLES`.
    """

    meaning: str
    commands: Mapping[str, Callable[..., int]]
    examples: Mapping[str, str]


COMMANDS: Mapping[str, Callable[..., int]] = {
    "inspect": inspect.inspect,
    "ls": ls.ls,
    "trace": trace.trace,
    "check": check.check,
    "explain": explain.explain,
    "apply": apply.apply,
    "remove": remove.remove,
    "convert": convert.convert,
    "refresh": refresh.refresh,
    "initialize": initialize.initialize,
}
EXAMPLES: Mapping[str, str] = {
    "inspect": inspect.EXAMPLES,
    "ls": ls.EXAMPLES,
    "trace": trace.EXAMPLES,
    "check": check.EXAMPLES,
    "explain": explain.EXAMPLES,
    "apply": apply.EXAMPLES,
    "remove": remove.EXAMPLES,
    "convert": convert.EXAMPLES,
    "refresh": refresh.EXAMPLES,
    "initialize": initialize.EXAMPLES,
}
GROUPS: Mapping[str, CommandGroup] = {
    "baseline": CommandGroup(
        "Keep the norms of checkpoints in a file that `normcli check` compares with.",
        {"write": baseline.write, "update": baseline.update, "show": recorded.show},
        {**baseline.EXAMPLES, "show": recorded.EXAMPLES},
    ),
}

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_EXAMPLES = """\
normcli inspect model.safetensors          every weight with its norms
normcli ls model.pt                        the header only, at once
normcli trace gan.pt D/conv.weight         one power iteration, step by step
normcli check model.pt                     fails where a norm is not as demanded
normcli apply --spectral model.pt          writes model.spectral.pt
normcli remove model.pt                    writes model.plain.pt
normcli initialize a.pt --model nets:Net --batch x.npy
normcli inspect a.pt --format json | jq    for programs
"""


def build() -> typer.Typer:
    """The application with every command."""
    app = _app(_EXAMPLES)
    app.callback()(_root)
    _fill(app, COMMANDS, EXAMPLES)
    for name, group in GROUPS.items():
        examples = "".join(group.examples[each] for each in group.commands)
        below = _app(examples)
        below.callback(help=group.meaning)(_group)
        _fill(below, group.commands, group.examples)
        app.add_typer(below, name=name)
    return app


def invoke(arguments: Sequence[str]) -> int:
    """Run a command line; its exit code.

    Typer's own `main` is not used: it would answer a broken pipe with 1.
    """
    command = get_command(build())
    try:
        with command.make_context("normcli", list(arguments)) as context:
            code = command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    return code if isinstance(code, int) else 0


def _app(examples: str) -> typer.Typer:
    return typer.Typer(
        cls=Group,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_CONTEXT,
        invoke_without_command=True,
        epilog=examples,
    )


def _fill(
    app: typer.Typer, commands: Mapping[str, Callable[..., int]], examples: Mapping[str, str]
) -> None:
    for name, command in commands.items():
        app.command(name, cls=Command, epilog=examples[name], context_settings=_CONTEXT)(command)


def _root(context: typer.Context, *, version: Version = False) -> None:
    """Know and trust the norms inside a model checkpoint. Nothing in it is run."""
    del version  # its callback has answered
    _group(context)


def _group(context: typer.Context) -> None:
    """Without a command below it: the help, as an error."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)
