"""What globs mean of which only a name is known: a weight that is missing, or that was skipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from normcli.selection import matcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@dataclass(frozen=True, slots=True)
class _Named:
    name: str
    key: str


def by_name(patterns: Sequence[str]) -> Callable[[str], bool]:
    """A test whether globs mean a `SECTION/KEY`; all names where there is no glob.

    Where KEY begins is not known, so that what follows any slash may be it: rather too many names
    than one too few.
    """
    matches = matcher(patterns)
    return lambda name: not patterns or any(matches(_Named(name, key)) for key in _keys(name))


def _keys(name: str) -> Iterator[str]:
    yield name
    while "/" in name:
        name = name.partition("/")[2]
        yield name
