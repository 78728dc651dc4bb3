"""Several checkpoints in one run: every readable one counts, each other one is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from normcli.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from normcli.cli.messages import Voice

T = TypeVar("T")


def each(paths: Sequence[str], work: Callable[[str], T], voice: Voice) -> list[T]:
    """What `work` makes of each path, in order; shorter than `paths` where some were refused.

    An option that cannot be meant and an output that cannot be written end the run.
    """
    results = (_done(path, work, voice) for path in paths)
    return [result for result in results if result is not None]


def _done(path: str, work: Callable[[str], T], voice: Voice) -> T | None:
    try:
        return work(path)
    except CheckpointError as error:
        error.where = error.where or path
        voice.error(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        voice.error(CheckpointError(error.strerror or str(error), where=path))
    return None


def exit_code(paths: Sequence[str], results: Sequence[object]) -> int:
    """0 where every path was read; 2 where one was refused."""
    return 0 if len(results) == len(paths) else 2
