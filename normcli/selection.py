"""Which weights a pattern means."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from normcli.records import Axis


class Named(Protocol):
    """Anything that has a name in a checkpoint."""

    @property
    def key(self) -> str:
        """State-dict key."""

    @property
    def name(self) -> str:
        """`SECTION/KEY`."""


def matcher(patterns: Sequence[str]) -> Callable[[Named], bool]:
    """A test whether one of the globs matches the whole name or the key alone; case counts.

    A pattern that is the name itself matches it, brackets and all (`layers/[0]/weight`).
    """
    exact = frozenset(patterns)
    globs = [re.compile(translate(pattern)).match for pattern in patterns]

    def matches(named: Named) -> bool:
        name, key = named.name, named.key
        if name in exact or key in exact:
            return True
        return any(glob(name) or glob(key) for glob in globs)

    return matches


def chosen(include: Sequence[str], exclude: Sequence[str]) -> Callable[[Named], bool]:
    """A test for `--include` and `--exclude`: all where nothing is included; exclusion wins."""
    included, excluded = matcher(include), matcher(exclude)

    def wanted(named: Named) -> bool:
        return (not include or included(named)) and not excluded(named)

    return wanted


def axis_choice(dims: Mapping[str, Axis]) -> Callable[[Named], Axis | str]:
    """The row axis of the first glob that means a weight; `auto` without one."""
    rows = [(matcher([glob]), axis) for glob, axis in dims.items()]
    return lambda weight: next((axis for matches, axis in rows if matches(weight)), "auto")
