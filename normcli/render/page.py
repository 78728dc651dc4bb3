"""Where a text goes, and what it may use there: the width, colour, letters beyond ASCII."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

# What is written instead of notation where the stream takes ASCII only.
_ASCII = str.maketrans(
    {
        "σ": "sigma", "₁": "1", "₂": "2", "‖": "|", "×": "x", "·": "-", "…": "...", "─": "-",
        "−": "-", "→": "->", "Δ": "d", "÷": "/", "±": "+-", "≤": "<=", "≥": ">=",
        "▁": "_", "▂": ".", "▃": ":", "▄": "-", "▅": "=", "▆": "+", "▇": "*", "█": "#",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """A stream and what a text on it may use.

    Attributes:
        out: The stream.
        width: Columns of the terminal; only a table looks at it.
        color: Whether escape codes may be written; only a table does.
        unicode: Whether the stream takes letters beyond ASCII.
    """

    out: TextIO
    width: int = 120
    color: bool = False
    unicode: bool = True

    def write(self, text: str) -> None:
        """Hand a text to the stream."""
        self.out.write(text)

    def spelled(self, text: str) -> str:
        """A text as the stream can hold it: `σ₁`, or `sigma1` in ASCII; other letters by number."""
        if self.unicode or text.isascii():
            return text
        return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")
