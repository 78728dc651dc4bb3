"""Names from a file as a terminal may see them: nothing that moves, colours or reorders text."""

from __future__ import annotations

import unicodedata

# Controls, formats (bidi marks, zero-width), surrogates, private use, line and paragraph breaks.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def escaped(text: str) -> str:
    r"""The text with every unsafe character as `\xNN`, `\uNNNN` or `\UNNNNNNNN`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(c) if unicodedata.category(c) in _UNSAFE else c for c in text)


def shortened(text: str, limit: int, mark: str = "…") -> str:
    """At most `limit` characters: the middle makes way for a mark, the end is kept longer.

    The end of a weight's name (`ups.0.weight`) tells more than its beginning.
    """
    if len(text) <= limit:
        return text
    kept = max(limit - len(mark), 0)
    head = kept * 2 // 5
    return text[:head] + mark + text[len(text) - (kept - head) :] if kept else mark[:limit]


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
