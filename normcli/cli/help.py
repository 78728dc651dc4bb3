"""Help pages: usage, options by subject, and examples at the end, as they are to be typed."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from normcli.cli.messages import wants_color

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typer._click import Context, HelpFormatter  # click, as typer carries it

_BOLD, _OFF = "\x1b[1m", "\x1b[0m"
_GENERAL = "General"


class Command(TyperCommand):
    """A command whose options are listed by subject (`rich_help_panel`)."""

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the whole page."""
        arguments = [each for each in self.get_params(ctx) if isinstance(each, TyperArgument)]
        names = [str(each.metavar) for each in arguments]
        formatter.write_usage(ctx.command_path, " ".join(["[OPTIONS]", *names]))
        self.format_help_text(ctx, formatter)
        rows = [(str(each.metavar), each.help or "") for each in arguments]
        _write_sections(formatter, {"Arguments": rows, **_subjects(self.get_params(ctx))})
        _write_examples(formatter, self.epilog)


class Group(TyperGroup):
    """The list of commands."""

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the whole page."""
        formatter.write_usage(ctx.command_path, "COMMAND [OPTIONS] ...")
        self.format_help_text(ctx, formatter)
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [(name, each.get_short_help_str(100)) for name, each in commands.items() if each]
        _write_sections(formatter, {"Commands": rows, **_subjects(self.get_params(ctx))})
        _write_examples(formatter, self.epilog)


def _subjects(parameters: Sequence[object]) -> dict[str, list[tuple[str, str]]]:
    """Heading → (option, what it does), in the order of the declarations."""
    subjects: dict[str, list[tuple[str, str]]] = {}
    for each in parameters:
        if isinstance(each, TyperOption) and not each.hidden:
            subject = each.rich_help_panel or _GENERAL
            subjects.setdefault(subject, []).append(_row(each))
    general = subjects.pop(_GENERAL, [])
    return {**subjects, _GENERAL: general} if general else subjects


def _row(option: TyperOption) -> tuple[str, str]:
    spelled = {name for name in (*option.opts, *option.secondary_opts) if name.startswith("-")}
    names = ", ".join(sorted(spelled, key=len))
    notes = [f"[env: {option.envvar}]"] if option.envvar else []
    return (
        names if option.is_flag else f"{names} {option.metavar}",
        " ".join([option.help or "", *notes]),
    )


def _write_sections(formatter: HelpFormatter, sections: dict[str, list[tuple[str, str]]]) -> None:
    for title, rows in sections.items():
        with formatter.section(_heading(title)):
            formatter.write_dl(rows, col_max=34)


def _write_examples(formatter: HelpFormatter, examples: str | None) -> None:
    if examples:
        with formatter.section(_heading("Examples")):
            for line in examples.strip().splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def _heading(title: str) -> str:
    color = wants_color("auto", sys.stdout, os.environ)
    return f"{_BOLD}{title}{_OFF}" if color else title
