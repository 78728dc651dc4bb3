"""The progress bar: on standard error, only where a person is looking."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from normcli.render.escape import escaped, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress as Bar

    from normcli.commands.progress import Progress

    Observe: TypeAlias = Callable[[object, Progress], None]

_NAME = 32  # letters of a path beside the bar


def nothing(_worked_on: object, _progress: Progress) -> None:
    """Watch without showing."""


@contextmanager
def progress(*, shown: bool, color: bool) -> Iterator[Callable[[str], Observe]]:
    """A function that gives each path its observer; a bar is drawn only where `shown`."""
    if not (shown and sys.stderr is not None and sys.stderr.isatty()):
        yield lambda _path: nothing
        return
    with _bar(color=color) as bar:
        yield lambda path: _observer(bar, path)


def _bar(*, color: bool) -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Drawn

    return Drawn(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[weights]} weights"),
        DownloadColumn(),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True, no_color=not color, markup=False, highlight=False),
        transient=True,
    )


def _observer(bar: Bar, path: str) -> Observe:
    name = shortened(escaped(path), _NAME)
    task = bar.add_task(name, total=None, weights="0")

    def observe(_worked_on: object, done: Progress) -> None:
        weights = f"{done.weights}/{done.total_weights}"
        bar.update(task, completed=done.nbytes, total=done.total_nbytes, weights=weights)

    return observe
