"""Defaults from `normcli.toml` or `[tool.normcli]` in pyproject.toml, checked key by key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import typer  # noqa: TC002 - typer reads the annotations of its callbacks

from normcli.cli.messages import COLORS
from normcli.errors import UsageError, closest
from normcli.gate.configuration import POLICY_KEYS, find, load
from normcli.records import CERTIFICATES, DEVICES

Read: TypeAlias = Callable[[object], object]


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the file.

    Attributes:
        parameter: Of the command's function that it is a default for.
        expected: What its value has to be, in words.
        read: The value as the command line would give it; raises ValueError for another.
    """

    parameter: str
    expected: str
    read: Read


def _from(least: int) -> Read:
    def number(value: object) -> object:
        fits = isinstance(value, int) and not isinstance(value, bool) and value >= least
        return value if fits else _wrong()

    return number


def _fraction(value: object) -> object:
    fits = isinstance(value, float) and 0 < value < 1
    return value if fits else _wrong()


def _one_of(known: tuple[str, ...]) -> Read:
    def choice(value: object) -> object:
        return value if value in known else _wrong()

    return choice


def _either(known: tuple[str, ...]) -> str:
    *first, last = map(repr, known)
    return f"{', '.join(first)} or {last}"


def _switch(value: object) -> object:
    return value if isinstance(value, bool) else _wrong()


def _texts(value: object) -> object:
    fits = isinstance(value, list) and all(isinstance(each, str) for each in value)
    return value if fits else _wrong()


def _joined(value: object) -> object:
    texts = _texts(value)
    return ",".join(texts) if isinstance(texts, list) else _wrong()


def _size(value: object) -> object:
    return value if isinstance(value, str) else str(_from(1)(value))


def _axes(value: object) -> object:
    if not isinstance(value, dict):
        return _wrong()
    return [f"{glob}={axis}" for glob, axis in value.items()]


def _wrong() -> object:
    raise ValueError


KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "include": Key("include", "a list of globs", _texts),
        "exclude": Key("exclude", "a list of globs", _texts),
        "all": Key("everything", "true or false", _switch),
        "metrics": Key("metrics", "a list of names", _joined),
        "power-iterations": Key("power_iterations", "an integer from 1 on", _from(1)),
        "seed": Key("seed", "an integer from 0 on", _from(0)),
        "rtol": Key("rtol", "a number between 0 and 1", _fraction),
        "certificate": Key("certificate", _either(CERTIFICATES), _one_of(CERTIFICATES)),
        "failure-probability": Key("failure_probability", "a number between 0 and 1", _fraction),
        "dim": Key("dims", "a table from globs to axes", _axes),
        "jobs": Key("jobs", "an integer from 1 on", _from(1)),
        "memory": Key("memory", "a size such as '2GB'", _size),
        "device": Key("device", _either(DEVICES), _one_of(DEVICES)),
        "color": Key("color", _either(COLORS), _one_of(COLORS)),
        "progress": Key("show_progress", "true or false", _switch),
    }
)
# What `check` and `baseline` take of them: a file narrows neither what a gate looks at nor how
# closely.
GATE = frozenset({"jobs", "memory", "device", "color", "show_progress"})


def with_config(context: typer.Context, value: str | None) -> str | None:
    """Callback of `--config`: the file that is used."""
    if "no_config" in context.params:
        return _settled(context, value, without=context.params["no_config"])
    return value


def no_config(context: typer.Context, value: bool) -> bool:
    """Callback of `--no-config`."""
    if "config" in context.params:
        named = context.params["config"]
        context.params["config"] = _settled(context, named, without=value)
    return value


def defaults(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Parameter → value, for each key of the file; the keys of the policy are left to the gate.

    Raises:
        UsageError: A key is not known, or its value cannot be meant.
    """
    found: dict[str, Any] = {}
    for name, value in table.items():
        if name in POLICY_KEYS:
            continue
        key = KEYS.get(name)
        if key is None:
            hint = closest(name, [*KEYS, *POLICY_KEYS])
            raise UsageError(f"no key is called {name!r}", where=where, hint=hint)
        try:
            found[key.parameter] = key.read(value)
        except ValueError:
            raise UsageError(
                f"{name!r} is {value!r}, expected {key.expected}", where=where
            ) from None
    return found


def _settled(context: typer.Context, named: str | None, *, without: bool) -> str | None:
    """Lay the file's values below the command line, once both options are known; the file."""
    if without and named is not None:
        raise UsageError("--config and --no-config exclude each other")
    path = Path(named) if named is not None else None if without else find(Path.cwd())
    if path is None:
        return None
    values = defaults(load(path), str(path))
    gate = context.command_path.split()[1:2] in (["check"], ["baseline"])
    context.default_map = {name: values[name] for name in values if not gate or name in GATE}
    return str(path)
