"""Is the certified spectral norm as fast as the estimates of others, and does its bracket hold?

Runs this engine and its peers in turn, in one process, on the same matrices and with as many
threads. The peers get a float32 copy of the stored values, made beforehand. Errors are relative to
float64 LAPACK on the stored values; that reference is kept in a file, for it takes longer than all
else. A solver that takes more than 5 seconds runs once; of the others a first call is not counted,
and a short one is counted only after another of its own.
Exits with 1 where a bracket does not hold σ₁.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from matrices import SPECTRA
from solvers import ENGINE, FAILURES, PEERS
from threadpoolctl import threadpool_limits

from normcli.records import SpectralNorm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor

SIZES = ("512x512", "768x3072", "2048x2048", "4096x11008")
QUICK_SIZES = SIZES[:2]
QUICK_SPECTRA = ("gaussian", "spiked")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SLOW = 5.0  # seconds above which a solver runs once
SHORT = 0.5  # seconds below which each call that counts follows one that does not
PAUSE = 0.2
SVD_ENTRIES = 1 << 23  # beyond it the reference is the Gram matrix's: the SVD takes minutes
REFERENCE_ROUNDING = 1e-12  # of float64 LAPACK, relative, with room


@dataclass(frozen=True)
class Outcome:
    """What one solver did with one matrix.

    Attributes:
        seconds: Of each round that counts; empty where it failed.
        error: value/σ₁ − 1; None where it failed.
        width: upper/lower − 1; None for a peer, as all that follows.
        holds: lower ≤ σ₁ ≤ upper.
    """

    seconds: list[float]
    error: float | None
    width: float | None = None
    holds: bool | None = None
    passes: int | None = None
    method: str | None = None


@dataclass(frozen=True)
class Case:
    """One matrix, and how every solver fared on it."""

    size: str
    spectrum: str
    dtype: str
    sigma: float
    load: float
    outcomes: dict[str, Outcome]

    def ratio(self, name: str, of: Callable[[Iterable[float]], float] = median) -> float | None:
        """Seconds of normcli over those of another."""
        theirs = self.outcomes[name].seconds
        return of(self.outcomes["normcli"].seconds) / of(theirs) if theirs else None


def reference(matrix: Tensor, file: Path) -> float:
    """σ₁ of the stored values by float64 LAPACK, computed once for each matrix."""
    stored = matrix.view(torch.uint8).numpy()
    digest = hashlib.sha256(stored).hexdigest()
    known = json.loads(file.read_text()) if file.exists() else {}
    if digest not in known:
        known[digest] = _by_lapack(matrix.double())
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(known))
    return known[digest]


def _by_lapack(wide: Tensor) -> float:
    if wide.numel() <= SVD_ENTRIES:
        return torch.linalg.svdvals(wide)[0].item()
    rows = wide if wide.shape[0] <= wide.shape[1] else wide.T
    return torch.linalg.eigvalsh(rows @ rows.T)[-1].sqrt().item()


def timed(solver: Callable[[Tensor], Any], matrix: Tensor) -> tuple[float, Any]:
    """Seconds and what was found: None where the solver gave up."""
    start = time.perf_counter()
    try:
        found = solver(matrix)
    except FAILURES:
        found = None
    return time.perf_counter() - start, found


def warmed(solver: Callable[[Tensor], Any], matrix: Tensor, alone: float) -> float:
    """Seconds of a call that follows one of its own.

    The threads of another solver's BLAS spin for 0.1 s after its last operation, and would be
    charged to whoever comes next.
    """
    time.sleep(PAUSE)
    if alone < SHORT:
        timed(solver, matrix)
    return timed(solver, matrix)[0]


def in_turn(
    solvers: dict[str, tuple[Callable[[Tensor], Any], Tensor]], rounds: int
) -> dict[str, tuple[list[float], Any]]:
    """Seconds and the first result of each; every round runs each of them once."""
    first = {name: timed(*each) for name, each in solvers.items()}
    again = [name for name, (alone, found) in first.items() if found is not None and alone < SLOW]
    seconds: dict[str, list[float]] = {name: [] for name in solvers}
    for _ in range(rounds):
        for name in again:
            seconds[name].append(warmed(*solvers[name], first[name][0]))
    return {
        name: (seconds[name] or ([] if found is None else [alone]), found)
        for name, (alone, found) in first.items()
    }


def judged(seconds: list[float], found: SpectralNorm | float | None, sigma: float) -> Outcome:
    """An outcome beside the reference."""
    if not isinstance(found, SpectralNorm):
        return Outcome(seconds, None if found is None else found / sigma - 1)
    slack = REFERENCE_ROUNDING * sigma
    return Outcome(
        seconds,
        found.value / sigma - 1,
        width=found.upper / found.lower - 1,
        holds=found.lower - slack <= sigma <= found.upper + slack,
        passes=found.passes,
        method=found.method,
    )


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """Each matrix with its outcomes."""
    for size in options.sizes:
        m, n = (int(side) for side in size.split("x"))
        for spectrum in options.spectra:
            drawn = SPECTRA[spectrum](m, n, torch.Generator().manual_seed(options.seed))
            for dtype in options.dtypes:
                stored = drawn.to(DTYPES[dtype])
                sigma = reference(stored, options.references)
                copy = stored.float()
                solvers = {name: (each, stored) for name, each in ENGINE.items()}
                solvers |= {name: (PEERS[name], copy) for name in options.peers}
                load = os.getloadavg()[0]
                done = in_turn(solvers, options.rounds)
                outcomes = {name: judged(*each, sigma) for name, each in done.items()}
                yield Case(size, spectrum, dtype, sigma, load, outcomes)


def show(case: Case) -> None:
    """One block of the table."""
    print(
        f"\n{case.size} {case.spectrum} {case.dtype}   σ₁ {case.sigma:.9g}   load {case.load:.1f}"
    )
    print(
        f"{'':22} {'median s':>9} {'min s':>9} {'normcli/it':>10} {'by min':>7}"
        f" {'error':>8} {'width':>7} {'holds':>5} {'passes':>6}"
    )
    for name, each in case.outcomes.items():
        if not each.seconds:
            print(f"{name:22} {'fails':>9}")
            continue
        print(
            f"{name:22} {median(each.seconds):9.4f} {min(each.seconds):9.4f}"
            f" {case.ratio(name):10.2f} {case.ratio(name, min):7.2f} {each.error:8.0e}",
            end="",
        )
        if each.holds is not None:
            holds = "yes" if each.holds else "NO"
            print(f" {each.width:7.0e} {holds:>5} {each.passes:6} {each.method}", end="")
        print()


def summarize(done: list[Case], peers: list[str]) -> None:
    """How normcli compares with each peer over all matrices."""
    print(f"\n{'normcli/it':22} {'median':>7} {'best':>7} {'worst':>7}")
    for name in peers:
        ratios = [ratio for case in done if (ratio := case.ratio(name)) is not None]
        failed = f"   fails on {len(done) - len(ratios)}" if len(ratios) < len(done) else ""
        if ratios:
            figures = f"{median(ratios):7.2f} {min(ratios):7.2f} {max(ratios):7.2f}"
            print(f"{name:22} {figures}{failed}")
        else:
            print(f"{name:22}{failed}")


def arguments() -> argparse.Namespace:
    """The command line; lists are checked against what exists."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    listed = {"type": lambda text: text.split(",")}
    parser.add_argument("--sizes", **listed, help=f"of {','.join(SIZES)} or any ROWSxCOLUMNS")
    parser.add_argument("--spectra", **listed, help=f"of {','.join(SPECTRA)}")
    parser.add_argument("--dtypes", **listed, help=f"of {','.join(DTYPES)}")
    parser.add_argument("--peers", **listed, help=f"of {','.join(PEERS)}")
    parser.add_argument("--rounds", type=int, help="that count; 5, with --quick 2")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="every figure, of every round")
    parser.add_argument(
        "--references",
        type=Path,
        default=Path(tempfile.gettempdir()) / "normcli-benchmark" / "references.json",
        help="where σ₁ by float64 LAPACK is kept",
    )
    parser.add_argument(
        "--quick", action="store_true", help="two small sizes and two spectra, if none are given"
    )
    options = parser.parse_args()
    quick = options.quick
    options.sizes = options.sizes or list(QUICK_SIZES if quick else SIZES)
    options.spectra = options.spectra or list(QUICK_SPECTRA if quick else SPECTRA)
    options.dtypes = options.dtypes or list(DTYPES)
    options.peers = list(PEERS) if options.peers is None else options.peers
    options.rounds = options.rounds or (2 if quick else 5)
    for given, known in (("spectra", SPECTRA), ("dtypes", DTYPES), ("peers", PEERS)):
        if unknown := set(getattr(options, given)) - set(known):
            parser.error(f"--{given}: no {', '.join(unknown)}, expected some of {', '.join(known)}")
    return options


def main() -> int:
    """Run, print; gives the exit code."""
    options = arguments()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} threads, {options.rounds} rounds")
    done: list[Case] = []
    with threadpool_limits(options.threads):
        for case in cases(options):
            show(case)
            done.append(case)
            if options.json:
                options.json.write_text(json.dumps([asdict(each) for each in done], indent=1))
    summarize(done, options.peers)
    broken = sum(outcome.holds is False for case in done for outcome in case.outcomes.values())
    print(f"brackets: {f'{broken} without σ₁' if broken else 'all hold σ₁'}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
