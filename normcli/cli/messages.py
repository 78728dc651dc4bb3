"""What is said on standard error: `normcli: WHERE: sentence`, and a hint below it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from normcli.errors import NormcliError, UsageError, closest
from normcli.render.escape import escaped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TextIO

_RED, _YELLOW, _CYAN, _OFF = "\x1b[1;31m", "\x1b[1;33m", "\x1b[1;36m", "\x1b[0m"
COLORS = ("auto", "always", "never")
_LONGEST = 2000  # letters of a sentence; a name in it may be a megabyte


def wants_color(choice: str, stream: TextIO | None, environment: Mapping[str, str]) -> bool:
    """Whether colour goes to a stream: `--color`, then NO_COLOR, FORCE_COLOR, then a terminal."""
    if choice in ("always", "never"):
        return choice == "always"
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR", "") not in ("", "0"):
        return True
    return stream is not None and stream.isatty() and environment.get("TERM") != "dumb"


@dataclass(frozen=True, slots=True)
class Voice:
    """How to speak on standard error.

    Attributes:
        color: Whether escape codes may be written.
        debug: Whether an error shows where in the code it was raised.
        quiet: Whether only errors are said.
        verbose: Whether it is also said what goes well.
    """

    color: bool = False
    debug: bool = False
    quiet: bool = False
    verbose: bool = False

    @classmethod
    def of(cls, arguments: Sequence[str]) -> Voice:
        """From raw arguments: an error may come before or while they are parsed."""
        choice = os.environ.get("NORMCLI_COLOR", "auto")
        for before, argument in zip(("", *arguments), arguments, strict=False):
            if argument.startswith("--color="):
                choice = argument.removeprefix("--color=")
            elif before == "--color":
                choice = argument
        return cls(wants_color(choice, sys.stderr, os.environ), debug="--debug" in arguments)

    @classmethod
    def choose(cls, color: str, *, debug: bool, quiet: bool, verbose: bool) -> Voice:
        """From the options of a command."""
        if color not in COLORS:
            hint = closest(color, COLORS)
            raise UsageError(f"{color!r} is not a choice", where="--color", hint=hint)
        return cls(wants_color(color, sys.stderr, os.environ), debug, quiet, verbose)

    def answer(self, error: Exception) -> int:
        """Say what went wrong; the exit code for it."""
        if isinstance(error, typer.Abort):
            return 130
        if isinstance(error, NormcliError):
            self.error(error)
        elif isinstance(error, typer.TyperException):
            self.error(usage_error(error))
        else:
            self.error(_internal(error, debug=self.debug))
        return 2

    def error(self, error: Exception) -> None:
        """One sentence for each fault, a hint below, and with `debug` where it was raised."""
        if self.debug:
            import traceback

            self._write("".join(traceback.format_exception(error)))
        for line in error.lines if isinstance(error, NormcliError) else (str(error),):
            self._line(_RED, "normcli", line)
        if isinstance(error, NormcliError) and error.hint:
            self._line(_CYAN, "hint", error.hint)

    def say(self, sentence: str) -> None:
        """Something that only `--verbose` wants to know."""
        if self.verbose and not self.quiet:
            self._line("", "normcli", sentence)

    def note(self, sentence: str) -> None:
        """Something that the user should know, though nothing went wrong."""
        if not self.quiet:
            self._line(_YELLOW, "note", sentence)

    def show(self, text: str) -> None:
        """A text that is laid out already, such as a table."""
        if not self.quiet:
            self._write(text)

    def _line(self, style: str, label: str, text: str) -> None:
        head = f"{style}{label}:{_OFF}" if self.color and style else f"{label}:"
        text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
        self._write(f"{head} {escaped(text)}\n")

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, AttributeError):  # nobody listens: closed, full, or None
            return


def usage_error(error: typer.TyperException) -> UsageError:
    """Typer's complaint about an argument in our words, with the command whose help tells more."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "normcli"
    hint = f"try '{command} --help'"
    option, near = getattr(error, "option_name", None), getattr(error, "possibilities", None)
    if near and option:
        return UsageError(
            f"no such option: {option}", hint=f"did you mean {near[0]!r}? See '{command} --help'"
        )
    where = _option(error)
    message = error.message.removeprefix("Input ") if where else error.format_message()
    message = message.rstrip(".")
    return UsageError(message[:1].lower() + message[1:], hint=hint, where=where)


def _option(error: typer.TyperException) -> str:
    """The option that a value was given to, and its variable; empty where it is another matter."""
    parameter = getattr(error, "param", None) if error.message else None
    names = [*getattr(parameter, "opts", ()), *getattr(parameter, "secondary_opts", ())]
    spelled = max((name for name in names if name.startswith("--")), key=len, default="")
    variable = getattr(parameter, "envvar", None)
    return f"{spelled} (or {variable})" if spelled and variable else spelled


def _internal(error: Exception, *, debug: bool) -> NormcliError:
    sentence = f"internal error: {type(error).__name__}: {error}"
    hint = "" if debug else "run again with --debug to see where, and please report it"
    if isinstance(error, MemoryError):
        sentence = "not enough memory"
        hint = "give less to do at once: --jobs 1, --memory 256MB"
    answer = NormcliError(sentence, hint=hint)
    answer.__cause__ = error
    return answer
