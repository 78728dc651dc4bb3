"""What reading a header has cost so far, and the refusal once it is too much."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from normcli.errors import RefusedError

if TYPE_CHECKING:
    from normcli.formats.budgets import Budgets

OPCODE_MEMORY = 72  # bytes that an opcode leaves behind on average: a small object and its slot


class Meter:
    """Counts against one `Budgets`; each method raises `RefusedError` when a limit is passed."""

    def __init__(self, budgets: Budgets) -> None:
        self.budgets = budgets
        self.opcodes_left = min(budgets.opcodes, budgets.memory // OPCODE_MEMORY)
        self._memory = 0
        self._limit = budgets.memory
        self._resident = resident_bytes()
        self._created = 0
        self._tensors = 0
        self._visits = 0
        self._tuple_keys = 0

    def memory(self, nbytes: int) -> None:
        """Objects beyond what an opcode leaves behind anyway."""
        self._memory += nbytes
        estimate = self._memory + self._opcodes() * OPCODE_MEMORY
        if estimate > self._limit:
            self._look(estimate)

    def _look(self, estimate: int) -> None:
        """Up to twice the limit an estimate is doubted: what the process really took decides."""
        limit, now = self.budgets.memory, resident_bytes()
        taken = limit + 1 if now is None or self._resident is None else now - self._resident
        if taken > limit or estimate > 2 * limit:
            raise _more_than(limit, "bytes of memory for its header")
        self._limit = estimate + limit // 64

    def created(self, nbytes: int) -> None:
        """A string, bytes or a long integer."""
        self._created += nbytes
        if self._created > self.budgets.created:
            raise _more_than(self.budgets.created, "bytes of strings")
        self._memory += nbytes  # its object is what the opcode leaves behind

    def tensor(self) -> None:
        """One more tensor, with its line in every table."""
        self._tensors += 1
        if self._tensors > self.budgets.tensors:
            raise _more_than(self.budgets.tensors, "tensors")
        self.memory(1000)

    def visit(self, steps: int = 1) -> None:
        """More steps of the walk that names the tensors."""
        self._visits += steps
        if self._visits > self.budgets.steps:
            raise _more_than(self.budgets.steps, "containers to walk through")

    def tuple_key(self) -> None:
        """One more dictionary key that is a tuple: their hashes can be made to collide."""
        self._tuple_keys += 1
        if self._tuple_keys > self.budgets.tuple_keys:
            raise _more_than(self.budgets.tuple_keys, "tuples as dictionary keys")

    def too_many_opcodes(self) -> RefusedError:
        """What to raise when `opcodes_left` is used up."""
        return over_budget(f"more than {self._opcodes() - 1} opcodes")

    def _opcodes(self) -> int:
        budgets = self.budgets
        return min(budgets.opcodes, budgets.memory // OPCODE_MEMORY) - self.opcodes_left


def resident_bytes() -> int | None:
    """Memory that the process holds; None where the system has no such file."""
    try:
        with Path("/proc/self/statm").open("rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def over_budget(what: str) -> RefusedError:
    """The refusal of a file that is too expensive."""
    return RefusedError(
        f"refused: it holds {what}", hint="--budget-scale raises the limit, if you trust the file"
    )


def _more_than(limit: int, what: str) -> RefusedError:
    return over_budget(f"more than {limit} {what}")
