"""Fuzz the readers: python tests/hostile/fuzz.py --cases 1000000 [--target NAME] [--seed N].

One line of figures a target. A case fails when it raises anything but an error of the file, takes
over two seconds of CPU time or lets the process grow by more than 300 MB: its bytes then lie in
--failures, and the command ends with 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from fuzzing import ALLOWED, TARGETS, remove_folder

SECONDS = 2.0
MEGABYTES = 300
_PATIENCE = 20  # seconds of CPU time after which a case is stopped
_MOST_FAILURES = 20  # of one target: then it is left
WARM = 300  # cases that run before memory is looked at


class HungError(BaseException):
    """A case that would not end; no `except Exception` stops it."""


@dataclass
class Figures:
    """What the cases of one target came to."""

    cases: int = 0
    outcomes: Counter = field(default_factory=Counter)
    slowest: float = 0.0
    grown: float = 0.0
    failures: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        """Those of another process."""
        self.cases += other.cases
        self.outcomes += other.outcomes
        self.slowest = max(self.slowest, other.slowest)
        self.grown = max(self.grown, other.grown)
        self.failures += other.failures


def megabytes() -> float:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def outcome(target, data) -> str:
    """`opened`, or the class of the refusal; else the traceback of what must not happen."""
    try:
        target.run(data)
    except ALLOWED as error:
        return type(error).__name__
    except (Exception, HungError):  # noqa: BLE001 - to find any other is what this is for
        return traceback.format_exc()
    return "opened"


def measured(target, seed, numbers) -> Figures:
    """The figures of those cases, run in this process."""
    figures = Figures()
    for each in range(-WARM, 0):  # what is imported and allocated once
        outcome(target, target.case(seed, each))
    before = megabytes()
    for number in numbers:
        data = target.case(seed, number)
        high, start = megabytes(), time.process_time()
        signal.setitimer(signal.ITIMER_PROF, _PATIENCE)
        said = outcome(target, data)
        signal.setitimer(signal.ITIMER_PROF, 0)
        took, now = time.process_time() - start, megabytes()
        figures.cases += 1
        figures.slowest, figures.grown = (
            max(figures.slowest, took),
            max(figures.grown, now - before),
        )
        _judge(figures, number, said, took, now - high)
        if len(figures.failures) >= _MOST_FAILURES:
            break
    return figures


def _judge(figures, number, said, took, grown) -> None:
    if "\n" in said:
        figures.failures.append((number, said))
        said = "failed"
    elif took > SECONDS:
        figures.failures.append((number, f"took {took:.1f} s"))
    elif grown > MEGABYTES:
        figures.failures.append((number, f"took {grown:.0f} MB"))
    figures.outcomes[said] += 1


def _hung(*_) -> None:
    raise HungError


def _child(target, seed, numbers, at, pipe) -> None:
    signal.signal(signal.SIGPROF, _hung)

    def counted():
        for number in numbers:
            at.value = number
            yield number

    pipe.send(measured(target, seed, counted()))
    remove_folder()


def in_child(target, seed, numbers) -> Figures:
    """The figures of those cases from a process of its own; its death is a failure of its case."""
    context = multiprocessing.get_context("fork")
    at = context.Value("q", numbers.start, lock=False)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(target, seed, numbers, at, sender))
    process.start()
    sender.close()
    try:
        figures = receiver.recv()
    except EOFError:
        process.join()
        how = f"the process died: {process.exitcode}"
        return Figures(at.value - numbers.start, Counter(died=1), failures=[(at.value, how)])
    process.join()
    return figures


def shares(cases, jobs):
    """The numbers of the cases, one range a job."""
    bounds = [cases * part // jobs for part in range(jobs + 1)]
    return [range(*pair) for pair in pairwise(bounds)]


def line(name, figures) -> str:
    """One target, on one line."""
    refused = ", ".join(
        f"{kind} {count}" for kind, count in sorted(figures.outcomes.items()) if kind != "opened"
    )
    return (
        f"{name}: {figures.cases} cases, opened {figures.outcomes['opened']}, {refused}, "
        f"slowest {figures.slowest * 1000:.0f} ms, grew {figures.grown:.0f} MB"
    )


def keep(folder, target, seed, failures) -> None:
    """Each failing input in a file, what it did in another beside it."""
    for number, said in failures:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{target.name}-{seed}-{number}"
        file.write_bytes(target.case(seed, number))
        file.with_name(f"{file.name}.txt").write_text(f"{said}\n")
        sys.stdout.write(f"  failed: {file}: {said.strip().splitlines()[-1]}\n")


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000, help="of all targets together")
    parser.add_argument("--target", choices=TARGETS, help="only this one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"))
    return parser.parse_args(argv)


def main(argv=None) -> int:
    """Run the cases; 1 where one of them failed."""
    options = arguments(argv)
    names = [options.target] if options.target else list(TARGETS)
    each = -(-options.cases // len(names))
    failed = False
    for name in names:
        target, total = TARGETS[name], Figures()
        with ThreadPoolExecutor(options.jobs) as pool:
            work = [(target, options.seed, numbers) for numbers in shares(each, options.jobs)]
            for figures in pool.map(lambda given: in_child(*given), work):
                total.add(figures)
        sys.stdout.write(f"{line(name, total)}\n")
        keep(options.failures, target, options.seed, total.failures)
        sys.stdout.flush()
        failed = failed or bool(total.failures)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
