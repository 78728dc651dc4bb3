"""Which argument of a model's forward each tensor of a batch is."""

from __future__ import annotations

import inspect
from inspect import Parameter
from typing import TYPE_CHECKING, Any

from normcli.errors import UsageError
from normcli.formats.spelling import quoted, several
from normcli.initialization.guest import guest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import nn

INPUT = "input"  # what a tensor is called that has no name of its own: the first argument

_ANY = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def placed(
    model: nn.Module, batch: Mapping[str, Any], *, where: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments of forward: by name, and `input` as the first one.

    Nothing is guessed: a name that is neither is an error, also where it could mean one argument
    only.

    Raises:
        UsageError: A name is not one of forward's, or a required argument is not there.
    """
    parameters = _parameters(model)
    given = dict(batch)
    first = _first(given, parameters)
    rest = []
    if first is not None and first.kind is Parameter.VAR_POSITIONAL:
        rest = [given.pop(INPUT)]
    elif first is not None:
        _check_once(first.name, given, where)
        given[first.name] = given.pop(INPUT)
    _check_names(given, parameters, where)
    _check_complete(given, parameters, batch, where)
    ordered = [
        each for each in parameters if each.kind is Parameter.POSITIONAL_ONLY or each is first
    ]
    return (*_by_position(given, ordered), *rest), given


def _parameters(model: nn.Module) -> list[Parameter]:
    """Of forward; any arguments where it does not tell."""
    with guest("reading the signature of forward"):
        try:
            return list(inspect.signature(model.forward).parameters.values())
        except (ValueError, TypeError):  # made in C
            return [
                Parameter("args", Parameter.VAR_POSITIONAL),
                Parameter("kwargs", Parameter.VAR_KEYWORD),
            ]


def _first(given: Mapping[str, Any], parameters: Sequence[Parameter]) -> Parameter | None:
    """What `input` stands for; None where there is none, or it is a name of forward's own."""
    if INPUT not in given or any(each.name == INPUT for each in _named(parameters)):
        return None
    other = (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD)
    return next((each for each in parameters if each.kind not in other), None)


def _named(parameters: Sequence[Parameter]) -> list[Parameter]:
    return [each for each in parameters if each.kind not in _ANY]


def _by_position(given: dict[str, Any], parameters: Sequence[Parameter]) -> list[Any]:
    """Take the arguments of these parameters, with defaults before the last one that is given."""
    count = max((i + 1 for i, each in enumerate(parameters) if each.name in given), default=0)
    return [given.pop(each.name, each.default) for each in parameters[:count]]


def _check_once(name: str, given: Mapping[str, Any], where: str) -> None:
    if name in given:
        message = f"holds 'input' and {quoted(name)}, which are both the first argument of forward"
        raise UsageError(message, where=where, hint="leave one of them out")


def _check_names(given: Mapping[str, Any], parameters: Sequence[Parameter], where: str) -> None:
    if any(each.kind is Parameter.VAR_KEYWORD for each in parameters):
        return
    names = [each.name for each in _named(parameters)]
    strange = [name for name in given if name not in names]
    if not strange:
        return
    takes = several(map(quoted, names)) or "nothing by name"
    raise UsageError(
        f"holds {several(map(quoted, strange))}, forward takes {takes}",
        where=where,
        hint=_better_name(
            [each for each in _named(parameters) if each.name not in given], parameters
        ),
    )


def _better_name(free: Sequence[Parameter], parameters: Sequence[Parameter]) -> str:
    """What a tensor with a strange name could be called: what is still to be given."""
    wanted = [each for each in free if each.default is Parameter.empty] or list(free)
    if not wanted:
        by_position = any(each.kind is Parameter.VAR_POSITIONAL for each in parameters)
        return "name it 'input'" if by_position else "leave it out"
    is_first = wanted[0] is parameters[0] and wanted[0].kind is not Parameter.KEYWORD_ONLY
    names = [quoted(each.name) for each in wanted[:3]]
    if is_first and INPUT not in (each.name for each in parameters):
        names.append(quoted(INPUT))
    return (
        f"name it {', '.join(names[:-1])}, or {names[-1]}" if names[1:] else f"name it {names[0]}"
    )


def _check_complete(
    given: Mapping[str, Any], parameters: Sequence[Parameter], batch: Iterable[str], where: str
) -> None:
    missing = [
        quoted(each.name)
        for each in _named(parameters)
        if each.default is Parameter.empty and each.name not in given
    ]
    if missing:
        wanted, held = f"forward needs {several(missing)}", several(map(quoted, batch))
        message = f"holds {held}, {wanted} too" if held else f"is empty, {wanted}"
        hint = "put every required argument into the batch"
        raise UsageError(message, where=where, hint=hint)
