"""The values of one step: what is small is kept, what is large is computed again when written.

To add a verb: a module with `settle(step, read, options)` and a line in `VALUES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.rewrite.values import apply, convert, refresh, remove
from normcli.rewrite.values.settled import Left, Open, Settled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from normcli.records import Step
    from normcli.rewrite.options import Options
    from normcli.rewrite.values.settled import Outcome, Read

VALUES: Mapping[str, Callable[[Step, Read, Options], Outcome]] = {
    "apply": apply.settle,
    "remove": remove.settle,
    "convert": convert.settle,
    "refresh": refresh.settle,
}

__all__ = ["VALUES", "Left", "Open", "Settled"]
