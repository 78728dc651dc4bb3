"""A command that writes a checkpoint, made of a function that knows only its own options."""

from __future__ import annotations

from dataclasses import MISSING, fields
from functools import partial, wraps
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any, Protocol

from normcli.cli import account, arguments
from normcli.cli.messages import Voice
from normcli.cli.writing import Writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from dataclasses import Field
    from typing import Concatenate

    from typing_extensions import Unpack

    from normcli.cli.progress import Observe
    from normcli.commands.request import Asked
    from normcli.records import Rewriting

# An option that not every writer has → the shared one that it stands before; others come first.
_BEFORE = {"max_shard_size": "allow_nonfinite", "seed": "dims", "rtol": "dims"}


class Rewrite(Protocol):
    """A writer of the library that knows its own options already."""

    def __call__(self, path: str, /, **asked: Unpack[Asked]) -> Rewriting:
        """Rewrite a checkpoint, or say what would become of it."""


def writer(choose: Callable[Concatenate[Writing, ...], Rewrite]) -> Callable[..., int]:
    """The command that typer sees, of a function from its own options to what the library does.

    Typer makes an option of each parameter of `inspect.signature`, of its annotation and default,
    and a help page of the docstring. So the command carries a signature that nobody wrote out:
    the path, the options of `choose`, the other fields of `Writing`. It hands a `Writing` and the
    options to `choose`, which refuses what cannot be meant and imports the library only then.

    Args:
        choose: Its parameters have annotations that typer can read, not text. Name and docstring
            are those of the command.
    """
    shared = [field.name for field in fields(Writing)]

    @wraps(choose)
    def command(**options: Any) -> int:  # noqa: ANN401 - each has the type that the signature says
        writing = Writing(**{name: options.pop(name) for name in shared})
        return _written(writing, partial(choose, writing, **options))

    seen = Signature(list(_parameters(choose)), return_annotation=int)
    command.__signature__ = seen  # type: ignore[attr-defined]  # inspect knows it, mypy does not
    command.__annotations__ = {each.name: each.annotation for each in seen.parameters.values()}
    return command


def _parameters(choose: Callable[..., Rewrite]) -> Iterator[Parameter]:
    """The path, the options that stand first, and the shared ones with the others in between."""
    _, *own = signature(choose).parameters.values()
    path, *shared = map(_parameter, fields(Writing))
    yield path
    yield from (each for each in own if each.name not in _BEFORE)
    for option in shared:
        yield from (each for each in own if _BEFORE.get(each.name) == option.name)
        yield option


def _parameter(field: Field[Any]) -> Parameter:
    default = Parameter.empty if field.default is MISSING else field.default
    kind = Parameter.KEYWORD_ONLY
    return Parameter(field.name, kind, default=default, annotation=field.type)


def _written(writing: Writing, choose: Callable[[], Rewrite]) -> int:
    """Refuse what cannot be meant, write, and tell of it; the exit code."""
    voice = Voice.choose(
        writing.color, debug=writing.debug, quiet=writing.quiet, verbose=writing.verbose
    )
    voice.say(f"configuration: {writing.config or 'none'}")
    rewrite = choose()
    told = account.plan(voice, writing)
    arguments.one_file(writing.expect_sha256, [writing.path])
    asked = _asked(writing, hashed=told.hashes)

    def write(file: str, observe: Observe) -> Rewriting:
        return rewrite(file, **(asked | {"observe": observe}))

    return account.give(told, writing.path, write, show_progress=writing.show_progress)


def _asked(writing: Writing, *, hashed: bool) -> Asked:
    """What the library is asked for, but for what it shows on the way."""
    return {
        "output": writing.output,
        "force": writing.force,
        "in_place": writing.in_place,
        "include": writing.include or (),
        "exclude": writing.exclude or (),
        "dims": arguments.axes(writing.dims or ()),
        "allow_nonfinite": writing.allow_nonfinite,
        "drop_optimizer": writing.drop_optimizer,
        "drop_opaque": writing.drop_opaque,
        "dry_run": writing.dry_run,
        "jobs": writing.jobs,
        "memory": None if writing.memory is None else arguments.size(writing.memory),
        "budget_scale": writing.budget_scale,
        "sha256": hashed,
        "expect_sha256": writing.expect_sha256,
    }
