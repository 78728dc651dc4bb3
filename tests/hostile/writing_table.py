"""The table of faults of writing in docs/reliability.md, made of `WRITING`."""

from __future__ import annotations

import fcntl
from pathlib import Path

from writing_cases import WRITING

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"

_BEGIN, _END = "<!-- writing -->", "<!-- /writing -->"
_HEAD = ("| case | what is left | proved by | runs where |", "|---|---|---|---|")


def table() -> str:
    """The section as it has to be, markers and all."""
    rows = [
        _line(each.case, each.outcome, _proofs(each.proofs), each.needs or "everywhere")
        for each in WRITING
    ]
    return "\n".join((_BEGIN, *_HEAD, *rows, _END))


def section() -> str:
    """The section as the page has it, markers and all."""
    return "".join(_parted(PAGE.read_text("utf-8"))[1])


def put() -> None:
    """Replace the section of the page. Safe beside others that replace theirs."""
    with PAGE.open("r+", encoding="utf-8") as page:
        fcntl.flock(page, fcntl.LOCK_EX)
        before, _, after = _parted(page.read())
        page.seek(0)
        page.write(before + table() + after)
        page.truncate()


def _parted(text: str) -> tuple[str, str, str]:
    begin, end = text.index(_BEGIN), text.index(_END) + len(_END)
    return text[:begin], text[begin:end], text[end:]


def _line(*cells: str) -> str:
    escaped = (cell.replace("|", r"\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _proofs(proofs: tuple[str, ...]) -> str:
    return "<br>".join(f"`{proof.removeprefix('tests/')}`" for proof in proofs)
