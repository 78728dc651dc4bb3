"""What can go wrong, drawn as a tree: every error that a user can cause.

NormcliError
├── UsageError          an option or a name that cannot be meant
├── CheckpointError     a file that cannot be read as it claims to be
│   ├── RefusedError    a file that normcli does not read on purpose
│   └── ChangedError    a file that changed while it was read
└── OutputError         a product that could not be written
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class NormcliError(Exception):
    """One sentence, `where: what was found, expected what`, and a hint that says what to do.

    Args:
        message: The sentence, without the file; names in single quotes, values shown.
        hint: What the user can do about it; empty where there is nothing to do.
        where: The file or the option; the layer that knows it fills it in.
        details: Of several faults found at once each in a sentence, likewise without the file;
            the message then counts them.
    """

    def __init__(
        self, message: str, *, hint: str = "", where: str = "", details: Iterable[str] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where
        self.details = tuple(details)

    def __str__(self) -> str:
        return "\n".join(self.lines)

    @property
    def lines(self) -> tuple[str, ...]:
        """The sentence and the details, each with the file."""
        said = (self.message, *self.details)
        return tuple(f"{self.where}: {each}" if self.where else each for each in said)


class UsageError(NormcliError):
    """An option, a pattern or a weight name that cannot be meant."""


class CheckpointError(NormcliError):
    """A file that cannot be read as what it claims to be: truncated, contradictory, not a file."""


class RefusedError(CheckpointError):
    """A file that could be read in part but is refused by rule: foreign objects, over budget."""


class ChangedError(CheckpointError):
    """A file that changed between the first byte read and the last."""


class OutputError(NormcliError):
    """A product that could not be written."""


def closest(name: str, known: Iterable[str]) -> str:
    """A hint for a name that is not known: what was probably meant, or all that there is."""
    from difflib import get_close_matches

    known = tuple(known)
    near = get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
