"""Draws docs/check.svg, the picture of `normcli check` in the README: python docs/picture.py."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "check.svg"
WIDTH = 88
ARGUMENTS = ("check", "sample_checkpoints/sngan-defect.pt")


def said() -> str:
    """What the command says on a terminal, with its escape codes, but for the time it took."""
    line = [sys.executable, "-m", "normcli", *ARGUMENTS, "--color", "always"]
    more = {"COLUMNS": str(WIDTH), "PYTHONUTF8": "1", "PATH": ""}
    done = subprocess.run(line, cwd=ROOT, env=more, capture_output=True, check=False, text=True)
    return re.sub(r" · [\d.]+ s$", "", done.stdout, flags=re.MULTILINE)


def drawn(text: str) -> str:
    """A text with escape codes as SVG, without the fonts from elsewhere that rich asks for."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(f"\x1b[1m$ normcli {' '.join(ARGUMENTS)}\x1b[0m\n{text.rstrip()}"))
    layout = re.sub(r"@font-face \{\{.*?\n *\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    layout = layout.replace("<svg ", '<svg xml:space="preserve" ')  # blanks that begin a line
    return console.export_svg(
        title="normcli check", theme=SVG_EXPORT_THEME, code_format=layout, unique_id="check"
    )


if __name__ == "__main__":
    PICTURE.write_text(drawn(said()), encoding="utf-8")
