"""How far a pass over a checkpoint is: what a progress bar is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from normcli.records import Step

_EVERY = 16 << 20  # bytes written between two reports


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pass over one checkpoint is: weights and bytes, done and in all."""

    weights: int
    total_weights: int
    nbytes: int
    total_nbytes: int


class Watch:
    """A rewriting as it goes on: first every weight is looked at, then every byte is written.

    Args:
        observe: Told of each weight that is done, and of the output while it is written.
        steps: All of the plan.
        nbytes: Of the output.
        name: Of the output.
    """

    def __init__(
        self,
        observe: Callable[[str, Progress], None] | None,
        steps: Sequence[Step],
        nbytes: int,
        name: str,
    ) -> None:
        self._observe = observe
        self._name = name
        self._weights = len(steps)
        self._total = sum(step.weight.nbytes for step in steps) + nbytes
        self._looked_at = self._nbytes = self._told = 0

    def settled(self, step: Step) -> None:
        """A weight was looked at."""
        self._looked_at += 1
        self._nbytes += step.weight.nbytes
        self._tell(step.name)

    def wrote(self, nbytes: int) -> None:
        """So many more bytes of the output are written."""
        self._nbytes += nbytes
        if self._nbytes - self._told >= _EVERY:
            self._tell(self._name)

    def _tell(self, name: str) -> None:
        self._told = self._nbytes
        if self._observe is not None:
            done = Progress(self._looked_at, self._weights, self._nbytes, self._total)
            self._observe(name, done)
