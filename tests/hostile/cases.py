"""What a case of the corpus is: files built by code, and what normcli has to make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

REFUSED, READ, NOTED = VERDICTS = ("refused", "read", "read with note")


@dataclass(frozen=True)
class Case:
    """Files that test one rule.

    Attributes:
        name: Unique in the corpus; the line of the table and the name of the test.
        group: A container, B pickle, C tensors, D legacy, E safetensors, F shards and DCP,
            G writing.
        build: Writes below an empty folder, gives what is to be opened: a path, or several
            that have to share the verdict.
        verdict: One of `VERDICTS`.
        says: Fragment of the message, or of the note; empty for what is just read.
        why: What would go wrong otherwise, one phrase.
        command: `ls` reads the header and no tensor, `inspect` both; without it `ls` for what
            is refused, since that is decided from the header, and `inspect` for what is read.
        options: More arguments, such as `--allow-opaque`.
        barred: Why it cannot run here, empty where it can.
        spends: Whether it is refused only once it has spent a budget: up to 450 MB, and seconds.
    """

    name: str
    group: str
    build: Callable[[Path], Path | Sequence[Path]]
    verdict: str
    says: str
    why: str
    command: str = ""
    options: tuple[str, ...] = ()
    barred: Callable[[], str] = lambda: ""
    spends: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command line without its paths."""
        command = self.command or ("ls" if self.verdict == REFUSED else "inspect")
        return (command, "--no-config", "--all", "--format", "json", *self.options)


def written(name: str, content: Callable[[], bytes]) -> Callable[[Path], Path]:
    """A `build` of one file."""

    def build(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content())
        return path

    return build
