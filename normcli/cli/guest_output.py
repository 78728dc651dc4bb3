"""Standard output while code of the user runs: it holds what a program reads, and nothing else."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def on_standard_error() -> Iterator[None]:
    """What anybody writes to standard output meanwhile goes to standard error, or nowhere.

    The descriptor is led there as well: libraries in C and processes that the code starts know no
    `sys.stdout`.
    """
    sys.stdout.flush()
    own = os.dup(1)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno() if sys.stderr is None else 2, 1)
        try:
            with redirect_stdout(sys.stderr or nowhere):
                yield
        finally:
            if sys.__stdout__ is not None:
                with suppress(OSError, ValueError):  # closed, or full: nobody was to read it
                    sys.__stdout__.flush()
            os.dup2(own, 1)
            os.close(own)
