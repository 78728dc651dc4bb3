"""How names that come from a file are spelled in a path and in a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST = 80  # characters of a file's name for something that a message repeats


def quoted(name: object) -> str:
    """A name in single quotes, on one line, printable ASCII or letters, cut when it is long."""
    text = name.decode("latin-1") if isinstance(name, bytes) else str(name)
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 20]}…{text[-16:]}"
    return f"'{''.join(map(_visible, text))}'"


def key_text(key: object) -> str:
    """A dictionary key as a name shows it: strings as they are, `1 (int)` for all else."""
    if isinstance(key, str):
        return key
    return f"{key!r} ({type(key).__name__})"


def counted(number: int) -> str:
    """A number of a file, by its power of two where it is longer than any file."""
    if number.bit_length() <= 64:
        return str(number)
    return f"{'-' if number < 0 else ''}2^{number.bit_length() - 1} or more"


def several(words: Iterable[str], *, most: int = 8) -> str:
    """`a, b, c`, and how many more where there are more than `most`."""
    listed = list(words)
    more = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {more} more" if more > 0 else "")


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return ascii(character)[1:-1]
