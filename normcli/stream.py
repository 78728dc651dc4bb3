"""The only threads: many items, bounded bytes in flight, results in order."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import count
from threading import Event, Lock
from time import perf_counter
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Crew(Protocol):
    """Threads that work on one round at a time."""

    def __call__(self, work: Callable[[int], _Result], turns: int, /) -> list[_Result]:
        """[work(0), work(1), …] for so many turns."""


_SMALLEST_BUDGET = 1 << 30
_LARGEST_BUDGET = 8 << 30


def default_workers() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_budget() -> int:
    """Bytes in flight: a quarter of the machine's memory, between 1 and 8 GiB."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not every system has these names
        return _SMALLEST_BUDGET
    return min(max(memory // 4, _SMALLEST_BUDGET), _LARGEST_BUDGET)


def ordered_map(
    work: Callable[[_Item], _Result],
    items: Iterable[_Item],
    *,
    workers: int,
    cost: Callable[[_Item], int],
    budget: int,
    short: Callable[[_Item], bool] = lambda _: False,
) -> Iterator[_Result]:
    """work(item) of every item, in order, several at a time.

    The cost (bytes) of all items in flight stays under `budget`; an item dearer than the budget
    runs alone. An error surfaces at its item and cancels the rest; so does closing the iterator. A
    signal (`KeyboardInterrupt` and the like) does not wait for what is running.

    Items that are `short` (Python's own time more than torch's) run one at a time: threads that
    hand Python's lock to each other every few microseconds take twice as long as one of them.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="normcli")
    queue: deque[Future[_Result]] = deque()
    running: dict[Future[_Result], int] = {}
    turn = Lock()

    def in_turn(item: _Item) -> _Result:
        with turn:
            return work(item)

    waits = True
    try:
        for item in items:
            price = cost(item)
            while running and (len(running) >= workers or sum(running.values()) + price > budget):
                _retire(running)
            while queue and queue[0].done():
                yield queue.popleft().result()
            future = pool.submit(in_turn if short(item) else work, item)
            running[future] = price
            queue.append(future)
        while queue:
            yield queue.popleft().result()
    except BaseException as error:
        waits = isinstance(error, (Exception, GeneratorExit))
        raise
    finally:
        pool.shutdown(wait=waits, cancel_futures=True)


def alone(work: Callable[[int], _Result], turns: int) -> list[_Result]:
    """A crew of the calling thread."""
    return [work(turn) for turn in range(turns)]


def paced(together: Crew) -> Crew:
    """The same rounds by the crew or by the calling thread alone, whichever is faster at present.

    For rounds of one kind that take about a millisecond: there several threads are a gain on an
    idle machine and a loss on a busy one. Both are tried in turn and again every sixteen rounds.
    """
    crews: tuple[Crew, Crew] = (together, alone)
    rounds = count()
    took = [0.0, 0.0]

    def fastest(work: Callable[[int], _Result], turns: int) -> list[_Result]:
        number = next(rounds) % 16
        chosen = number if number < 2 else took.index(min(took))
        started = perf_counter()
        results = crews[chosen](work, turns)
        took[chosen] = perf_counter() - started
        return results

    return alone if together is alone else fastest


@contextmanager
def crew(workers: int, prepare: Callable[[], None]) -> Iterator[Crew]:
    """Threads for many short rounds of one computation: `together(work, turns)` is one round.

    The calling thread works as well, and whoever is free takes the next turn, so that a busy
    processor delays a round by one turn at most. Results are in the order of the turns.

    Args:
        workers: Threads, the calling one included.
        prepare: Called first in every other thread.
    """
    if workers <= 1:
        yield alone
        return
    with ThreadPoolExecutor(workers - 1, "normcli-crew", initializer=prepare) as pool:

        def together(work: Callable[[int], _Result], turns: int) -> list[_Result]:
            next_turn = count()  # `next` of it is atomic
            results: dict[int, _Result] = {}

            def share() -> None:
                while (turn := next(next_turn)) < turns:
                    results[turn] = work(turn)

            others = [pool.submit(share) for _ in range(min(workers, turns) - 1)]
            share()
            for other in others:
                other.result()
            return [results[turn] for turn in range(turns)]

        yield together


def ahead(items: Iterator[_Item], depth: int = 2) -> Iterator[_Item]:
    """The items, each produced in another thread up to `depth` before it is asked for.

    An item may be used until the next one is asked for, as where there is no other thread, if its
    memory comes again `depth` + 1 items later at the earliest.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="normcli-ahead") as pool:
        queue = deque(pool.submit(next, items, end) for _ in range(depth))
        while (item := queue.popleft().result()) is not end:
            queue.append(pool.submit(next, items, end))
            yield item  # type: ignore[misc]  # what is not the end is an item


def _retire(running: dict[Future[_Result], int]) -> None:
    """Wait until something ends, and forget what has ended."""
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        del running[future]


@contextmanager
def background(work: Callable[[Callable[[], bool]], _Result]) -> Iterator[Callable[[], _Result]]:
    """Run `work` in a thread of its own; what is yielded waits for its result.

    `work` is given a question that it asks from time to time: whether nobody wants its result any
    more, which is so once the block was left by an error.
    """
    unwanted = Event()
    with ThreadPoolExecutor(1, thread_name_prefix="normcli-background") as pool:
        future = pool.submit(work, unwanted.is_set)
        try:
            yield future.result
        finally:
            unwanted.set()
