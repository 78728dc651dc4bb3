"""JSON that a stranger wrote: bounded before it is parsed, and no key twice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from normcli.errors import CheckpointError, RefusedError
from normcli.formats.spelling import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from normcli.formats.budgets import Budgets

Pairs = list[tuple[str, Any]]

_VALUE = 150  # bytes that one JSON value takes as a Python object, with its place in a container


def parse_json(raw: bytes, what: str, budgets: Budgets, hook: Callable[[Pairs], Any]) -> Any:  # noqa: ANN401 - JSON is any
    """The value of `raw`; every object goes through `hook` as pairs, innermost first.

    Args:
        raw: UTF-8.
        what: Names it in messages: "the header".
        budgets: `memory` bounds the estimate of what parsing takes.
        hook: Sees all pairs, so that it can refuse a key that comes twice.

    Raises:
        CheckpointError: It is not JSON, or a key comes twice.
        RefusedError: It would take too much memory.
    """
    _check_memory(raw, what, budgets)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{what} is not UTF-8 at byte {error.start}") from error
    del raw  # the memory of a long one, where the caller did not keep it
    try:
        return json.loads(text, object_pairs_hook=hook, parse_constant=_no_constant)
    except RecursionError as error:
        raise CheckpointError(f"{what} nests too deep") from error
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{what} is not JSON: {error}") from error
    except ValueError as error:  # int() takes no more; its text tells how to switch that off
        raise CheckpointError(f"{what} holds a number of thousands of digits") from error


def unique(pairs: Pairs) -> dict[str, Any]:
    """The object; a key that comes twice is an error, also where an escape disguises it."""
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # add gives None
        raise CheckpointError(f"key {quoted(twice)} comes twice")
    return result


def _check_memory(raw: bytes, what: str, budgets: Budgets) -> None:
    """Refuse what would take more than the budget: text at its widest, and all its values."""
    values = raw.count(b",") + raw.count(b"[") + raw.count(b"{")
    text = 1 if raw.isascii() else 4
    pieces = text if text == 1 and b"\\u" not in raw else 8
    need = len(raw) * (1 + text + pieces) + values * _VALUE
    if need > budgets.memory:
        raise RefusedError(
            f"{what} may take {need // 1_000_000} MB of memory, over the budget of "
            f"{budgets.memory // 1_000_000} MB",
            hint="--budget-scale raises the limit, if you trust the file",
        )


def _no_constant(word: str) -> NoReturn:
    raise CheckpointError(f"{word} is not a JSON number")
