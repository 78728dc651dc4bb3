"""On which line of a TOML text a key stands; the parser of the standard library does not say."""

from __future__ import annotations

import re
import sys
from bisect import bisect_left
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Place: TypeAlias = tuple[str | int, ...]  # ("demand", 1, "limit"): keys, and indices of tables

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_KEY = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_BLANK = re.compile(r"(?:\s|#[^\n]*)*")
_HEADER = re.compile(rf"\[(\[)?[ \t]*({_KEY})[ \t]*\]\]?")
_ASSIGNMENT = re.compile(rf"({_KEY})[ \t]*=")
_TOKEN = re.compile(
    r'''"""(?:[^\\]|\\.)*?""""{0,2}'''
    r"""|\'\'\'.*?\'\'\'\'{0,2}"""
    r"""|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*|[^"'#\[\]{}\n]+|.""",
    re.DOTALL,
)


def places(text: str) -> dict[Place, int]:
    """Key → line, from 1, of every key and header that is sure to stand there.

    Keys within inline tables are not followed. Where the text is not what TOML is known to be, all
    that comes below is left out.

    Args:
        text: TOML, as its parser has accepted it.
    """
    breaks = [match.start() for match in re.finditer("\n", text)]
    found: dict[Place, int] = {}
    table: Place = ()
    arrays: dict[Place, int] = {}
    at = _end(_BLANK.match(text))
    while at < len(text):
        line = bisect_left(breaks, at) + 1
        if header := _HEADER.match(text, at):
            table = _opened(header, arrays)
            found.setdefault(table, line)
            at = header.end()
        elif assignment := _ASSIGNMENT.match(text, at):
            found.setdefault((*table, *_parts(assignment[1])), line)
            at = _behind_value(text, assignment.end())
        else:
            break
        at = _end(_BLANK.match(text, at))
    return found


def nearest(found: Mapping[Place, int], place: Place, least: int) -> int | None:
    """The line of a key, or of the table around it whose place has `least` parts or more."""
    inner = (place[:length] for length in range(len(place), least - 1, -1))
    return next((found[each] for each in inner if each in found), None)


def _opened(header: re.Match[str], arrays: dict[Place, int]) -> Place:
    """The place of a table; `arrays` counts the tables of each array."""
    *outer, last = _parts(header[2])
    place: Place = ()
    for part in outer:
        place = (*place, part)
        if place in arrays:
            place = (*place, arrays[place] - 1)
    place = (*place, last)
    if header[1]:
        arrays[place] = arrays.get(place, 0) + 1
        place = (*place, arrays[place] - 1)
    return place


def _parts(key: str) -> list[str]:
    """`a."b.c"` → a, b.c, as the parser reads it."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    parts = []
    value: object = tomllib.loads(f"{key} = 0")
    while isinstance(value, dict):
        ((part, value),) = value.items()
        parts.append(part)
    return parts


def _behind_value(text: str, at: int) -> int:
    """Where the value that begins here ends: at a line break outside of all brackets."""
    depth = 0
    for token in _TOKEN.finditer(text, at):
        depth += (token[0] in "[{") - (token[0] in "]}")
        if token[0] == "\n" and depth == 0:
            return token.end()
    return len(text)


def _end(match: re.Match[str] | None) -> int:
    return match.end() if match else 0
