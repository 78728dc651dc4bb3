"""What rich draws with: a console that writes into a string, sentences, and single inked words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.render.layout import MARGIN

if TYPE_CHECKING:
    from io import StringIO

    from rich.console import Console

    from normcli.render.page import Page

_HANG = 2  # blanks before the second line of a sentence


def console_for(text: StringIO, page: Page) -> Console:
    """A console that writes into a string: rich's own answer to a broken pipe is to exit with 1."""
    from rich.console import Console

    return Console(
        file=text,
        width=page.width,
        color_system="standard" if page.color else None,
        force_terminal=page.color,
        markup=False,
        highlight=False,
        emoji=False,
    )


def inked(text: str, style: str, page: Page) -> str:
    """A text in its colour; as it is where the page has none."""
    if not (page.color and style and text):
        return text
    from rich.color import ColorSystem
    from rich.style import Style

    return Style.parse(style).render(text, color_system=ColorSystem.STANDARD)


def say(console: Console, page: Page, *parts: tuple[str, str], indent: int = 0) -> None:
    """A sentence as wide as the page; what does not fit goes on below, a little to the right.

    Args:
        console: Of `console_for`.
        page: Where it goes.
        parts: (style, words), in order.
        indent: Blanks before the sentence as a whole.
    """
    from rich.text import Text

    text = Text()
    for style, words in parts:
        text.append(page.spelled(words), style)
    for number, line in enumerate(text.wrap(console, page.width - 2 * MARGIN - _HANG - indent)):
        line.rstrip()
        line.pad_left(MARGIN + indent if number == 0 else MARGIN + indent + _HANG)
        console.print(line, no_wrap=True, overflow="ignore", crop=False)
