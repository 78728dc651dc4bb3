"""How much memory does the spectral norm of one matrix take?

One process for each spectrum draws a bfloat16 matrix, panel by panel, and computes σ₁. Its peak
less that of a process that only imports torch is compared with the bytes of the matrix in float32;
the matrix itself is half of those. Exits with 1 where the ratio is above 2.5.
"""

from __future__ import annotations

import argparse
import sys

from processes import interleaved

MOST_TIMES_FLOAT32 = 2.5
SPECTRA = ("gaussian", "spiked")  # the most steps, and the usual few
CERTIFICATES = ("probabilistic", "deterministic", "none")


def measure(spectrum: str, size: str, certificate: str) -> None:
    """Draw the matrix and compute its norm."""
    import matrices
    import torch

    from normcli.linalg import spectral_norm

    m, n = (int(side) for side in size.split("x"))
    generator = torch.Generator().manual_seed(0)
    draw = {"gaussian": matrices.gaussian, "spiked": matrices.spiked}[spectrum]
    print(spectral_norm(draw(m, n, generator, torch.bfloat16), certificate=certificate))


def main() -> int:
    """Run, print; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="4096x11008", metavar="ROWSxCOLUMNS")
    parser.add_argument("--certificate", default=CERTIFICATES[0], choices=CERTIFICATES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", choices=SPECTRA, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.size, options.certificate)
        return 0
    bare = "python -c 'import torch'"
    commands = {bare: [sys.executable, "-c", "import torch"]}
    for name in SPECTRA:
        commands[name] = [sys.executable, __file__, *sys.argv[1:], "--measure", name]
    results = interleaved(commands, options.rounds)
    m, n = (int(side) for side in options.size.split("x"))
    whole = m * n * 4
    print(f"{options.size} bfloat16, {whole / 1e6:.0f} MB in float32; largest of {options.rounds}")
    print(f"{'':26} {'peak MB':>8} {'added MB':>9} {'of float32':>11}")
    ratios = []
    for name, each in results.items():
        added = each.peak - results[bare].peak
        ratios.append(added / whole)
        print(f"{name:26} {each.peak / 1e6:8.0f} {added / 1e6:9.0f} {added / whole:11.2f}")
    kept = max(ratios) <= MOST_TIMES_FLOAT32
    print(f"limit {MOST_TIMES_FLOAT32}: {'kept' if kept else 'broken'}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
