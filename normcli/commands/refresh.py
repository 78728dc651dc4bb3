"""`refresh`: u and v of spectral norms computed anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.commands.rewriting import Request, rewritten
from normcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike

    from normcli.commands.progress import Progress
    from normcli.records import Axis, Rewriting


def refresh(
    path: str | PathLike[str],
    *,
    iterations: int | None = None,
    rtol: float = 1e-6,
    output: str | PathLike[str] | None = None,
    force: bool = False,
    in_place: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    dims: Mapping[str, Axis] | None = None,
    allow_nonfinite: bool = False,
    drop_optimizer: bool = False,
    drop_opaque: bool = False,
    dry_run: bool = False,
    jobs: int | None = None,
    memory: int | None = None,
    budget_scale: float = 1.0,
    sha256: bool = True,
    expect_sha256: str | None = None,
    observe: Callable[[str, Progress], None] | None = None,
) -> Rewriting:
    """Compute u and v of every spectral norm anew; the originals stay as they are.

    Args:
        path: A file, a folder of shards, an index, or one shard.
        iterations: So many of torch's own power steps from the stored u and v; without it the
            converged top singular pair.
        rtol: Relative width of the bracket that holds σ₁.
        output: File, or folder of shards; without it a name beside the input.
        force: Replace a file that exists.
        in_place: Replace the input; stands alone.
        include: Globs on `SECTION/KEY` or KEY; all weights without one.
        exclude: Globs of weights to leave as they are.
        dims: Glob → row axis, where the file does not tell.
        allow_nonfinite: Write a result that holds NaN or Inf.
        drop_optimizer: Leave optimizer states out, where their indices would not fit any more.
        drop_opaque: Leave out what the output cannot hold: foreign objects, and plain data in
            safetensors.
        dry_run: Plan, and write nothing.
        jobs: Weights worked on at the same time; one a processor without.
        memory: Bytes of weights in flight; about four times the largest tensor without.
        budget_scale: Factor on the limits of `normcli.formats.budgets`, for a trusted large file.
        sha256: Whether the result has the hashes of input and output, and max |ΔW| of every weight.
        expect_sha256: Hex digest that the input must have.
        observe: Called with the name of each weight that is done.

    Raises:
        CheckpointError: The input cannot be read, or is refused.
        OutputError: The output cannot be written.
        UsageError: An option cannot be meant.
    """
    if iterations is not None and iterations < 0:
        raise UsageError(f"is {iterations}, expected 0 or more", where="--iterations")
    from normcli.rewrite.options import Options

    options = Options(
        include=tuple(include),
        exclude=tuple(exclude),
        dims=dims or {},
        iterations=iterations,
        rtol=rtol,
        allow_nonfinite=allow_nonfinite,
        thorough=sha256,
    )
    request = Request(
        output=output,
        force=force,
        in_place=in_place,
        drop_optimizer=drop_optimizer,
        drop_opaque=drop_opaque,
        dry_run=dry_run,
        jobs=jobs,
        memory=memory,
        budget_scale=budget_scale,
        sha256=sha256,
        expect_sha256=expect_sha256,
        observe=observe,
    )
    return rewritten("refresh", path, options, request, word="refreshed")
