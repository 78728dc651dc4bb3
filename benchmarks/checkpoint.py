"""What does the exact spectral norm of every weight of a checkpoint cost?

Writes bfloat16 checkpoints of a transformer's shapes with spiked spectra, and reads them once so
that they are warm. First `normcli inspect --metrics frobenius` with and without `spectral_norm`, in
turn; then, where `--weightwatcher-python` names an interpreter that has WeightWatcher, the CPU time
of normcli and of WeightWatcher on a smaller checkpoint, one thread in every BLAS, net of imports.
Exits with 1 where σ₁ makes reading more than 6 times longer, or takes more than 1/30 of
WeightWatcher's CPU time.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from processes import interleaved, normcli, run

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_TIMES_FROBENIUS = 6.0
LEAST_TIMES_CHEAPER = 30.0
WIDTH = 2048
INNER = 5632
SHAPES = {
    "self_attn.q_proj": (WIDTH, WIDTH),
    "self_attn.k_proj": (WIDTH, WIDTH),
    "self_attn.v_proj": (WIDTH, WIDTH),
    "self_attn.o_proj": (WIDTH, WIDTH),
    "mlp.gate_proj": (INNER, WIDTH),
    "mlp.up_proj": (INNER, WIDTH),
    "mlp.down_proj": (WIDTH, INNER),
}
# Threads that wait for each other count as CPU time: neither side is charged for them.
ALONE = ("env", "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", "MKL_NUM_THREADS=1")


def weight_shapes(layers: int, vocabulary: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Names and shapes of the matrices."""
    if vocabulary:
        yield "model.embed_tokens.weight", (vocabulary, WIDTH)
    for layer in range(layers):
        for name, shape in SHAPES.items():
            yield f"model.layers.{layer}.{name}.weight", shape


def write_checkpoint(folder: Path, *, layers: int, vocabulary: int) -> None:
    """Write `model.safetensors`."""
    import torch
    from matrices import spiked
    from safetensors.torch import save_file

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: spiked(*shape, generator, torch.bfloat16)
        for name, shape in weight_shapes(layers, vocabulary)
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def inspect(folder: Path, metrics: str) -> list[str]:
    """The command line of a `normcli inspect` that hashes nothing."""
    return normcli("inspect", "--metrics", metrics, "--format", "jsonl", str(folder))


def cost_of_sigma(options: argparse.Namespace, folder: Path) -> bool:
    """Print what σ₁ adds to reading; gives whether it stays within its limit."""
    prepare(folder, layers=options.layers, vocabulary=options.vocabulary)
    commands = {each: inspect(folder, each) for each in ("frobenius", "frobenius,spectral_norm")}
    results = interleaved(commands, options.rounds)
    size = (folder / "model.safetensors").stat().st_size
    print(f"{size / 1e9:.2f} GB of bfloat16, warm; medians of {options.rounds} rounds")
    print(f"load {os.getloadavg()[0]:.1f}")
    print(f"{'normcli inspect --metrics':26} {'seconds':>8} {'cpu s':>7} {'peak MB':>8}")
    for name, each in results.items():
        print(f"{name:26} {each.seconds:8.2f} {each.cpu:7.2f} {each.peak / 1e6:8.0f}")
    alone, both = results.values()
    ratio = both.seconds / alone.seconds
    kept = ratio <= MOST_TIMES_FROBENIUS
    verdict = "kept" if kept else "broken"
    print(f"with σ₁ {ratio:.2f} × as long, limit {MOST_TIMES_FROBENIUS:.0f}: {verdict}\n")
    return kept


def against_weightwatcher(options: argparse.Namespace, folder: Path) -> bool:
    """Print the CPU time of both; gives whether normcli's is as much smaller as it should be."""
    prepare(folder, layers=options.weightwatcher_layers, vocabulary=0)
    theirs = [*ALONE, options.weightwatcher_python, __file__, "--weightwatcher"]
    results = interleaved(
        {
            "import normcli": [*ALONE, sys.executable, __file__, "--import-normcli"],
            "normcli inspect": [*ALONE, *inspect(folder, "frobenius,spectral_norm")],
            "import weightwatcher": [*theirs, "import", str(folder)],
        },
        options.rounds,
    )
    calls = {name: run([*theirs, name, str(folder)]) for name in WEIGHTWATCHER if name != "import"}
    ours = results["normcli inspect"].cpu - results["import normcli"].cpu
    print(f"\n{options.weightwatcher_layers} layers, CPU seconds (one run of WeightWatcher's)")
    print(f"{'':26} {'whole':>8} {'net':>8} {'normcli is cheaper by':>22}")
    print(f"{'normcli inspect':26} {results['normcli inspect'].cpu:8.2f} {ours:8.2f}")
    factors = []
    for name, each in calls.items():
        net = each.cpu - results["import weightwatcher"].cpu
        factors.append(net / ours)
        print(f"{'WeightWatcher ' + name:26} {each.cpu:8.2f} {net:8.2f} {net / ours:22.1f}")
    kept = min(factors) >= LEAST_TIMES_CHEAPER
    print(f"limit {LEAST_TIMES_CHEAPER:.0f}: {'kept' if kept else 'broken'}")
    return kept


def prepare(folder: Path, *, layers: int, vocabulary: int) -> None:
    """Write a checkpoint in a process of its own: what starts the others must stay small."""
    run([sys.executable, __file__, "--write", str(folder), str(layers), str(vocabulary)])


def _nothing(folder: str) -> None:
    """Its import, and the object that would do the rest."""
    from weightwatcher import WeightWatcher

    WeightWatcher(model=folder)


def _analyze(folder: str) -> None:
    """Its usual call with all switched off that can be: SVD, power law and norms remain."""
    from weightwatcher import WeightWatcher

    print(WeightWatcher(model=folder).analyze(plot=False, randomize=False))


def _apply_esd(folder: str) -> None:
    """The least of it that gives σ₁: the singular values, and nothing fitted to them."""
    from weightwatcher import WeightWatcher
    from weightwatcher.constants import DEFAULT_PARAMS

    watcher = WeightWatcher(model=folder)
    for layer in watcher.make_layer_iterator():
        print(watcher.apply_esd(layer, DEFAULT_PARAMS).sv_max)


WEIGHTWATCHER = {"import": _nothing, "analyze": _analyze, "apply_esd": _apply_esd}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=10, help="of the large checkpoint; 0: none")
    parser.add_argument("--vocabulary", type=int, default=32000, help="rows of the embedding")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weightwatcher-python", metavar="PATH", help="compare with WeightWatcher")
    parser.add_argument("--weightwatcher-layers", type=int, default=2, help="of the small one")
    parser.add_argument("--folder", help="where the temporary folder is made")
    parser.add_argument("--keep", action="store_true", help="leave the checkpoints where they are")
    parser.add_argument("--write", nargs=3, metavar="", help=argparse.SUPPRESS)
    parser.add_argument("--import-normcli", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--weightwatcher", nargs=2, metavar="", help=argparse.SUPPRESS)
    return parser.parse_args()


def compare(options: argparse.Namespace, folder: Path) -> int:
    """Run what was asked for; gives the exit code."""
    kept = [cost_of_sigma(options, folder / "large")] if options.layers else []
    if options.weightwatcher_python:
        kept.append(against_weightwatcher(options, folder / "small"))
    return 0 if all(kept) else 1


def main() -> int:
    """Compare, or be one of the processes that are compared."""
    options = arguments()
    if options.write:
        folder, layers, vocabulary = options.write
        write_checkpoint(Path(folder), layers=int(layers), vocabulary=int(vocabulary))
        return 0
    if options.import_normcli:
        import normcli.cli
        import normcli.linalg  # noqa: F401

        return 0
    if options.weightwatcher:
        logging.disable(logging.WARNING)  # it tells of every file that it opens
        call, folder = options.weightwatcher
        WEIGHTWATCHER[call](folder)
        return 0
    if options.keep:
        folder = Path(tempfile.mkdtemp(dir=options.folder, prefix="normcli-benchmark-"))
        print(f"kept in {folder}")
        return compare(options, folder)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="normcli-benchmark-") as temporary:
        return compare(options, Path(temporary))


if __name__ == "__main__":
    sys.exit(main())
