"""A standard stream as it is: its width, its colours and its letters."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from normcli.render import Page

if TYPE_CHECKING:
    from typing import TextIO

WIDTH = 120  # of a table that is not on a terminal


def page_on(stream: TextIO, *, color: bool, out: TextIO | None = None) -> Page:
    """A page as wide as the terminal of a stream, with the letters that it takes.

    Args:
        stream: Standard output, or standard error.
        color: Whether escape codes may be written.
        out: Where the text goes instead.
    """
    return Page(out or stream, _columns(stream), color, _takes_unicode(stream.encoding))


def _columns(stream: TextIO) -> int:
    value = os.environ.get("COLUMNS", "")
    if value.isdigit() and int(value) > 0:
        return int(value)
    try:
        return os.get_terminal_size(stream.fileno()).columns or WIDTH
    except (OSError, ValueError):  # no terminal, or no descriptor
        return WIDTH


def _takes_unicode(encoding: str | None) -> bool:
    try:
        "σ₁₂‖×÷·…─−→Δ▁█".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
