"""What is asked of every writer alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from normcli.rewrite.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike

    from normcli.commands.progress import Progress
    from normcli.records import Axis

    Observe = Callable[[str, Progress], None]


class Asked(TypedDict, total=False):
    """What every writer can be asked for, by keyword.

    Attributes:
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
        sha256: Whether the result has the hashes of input and output, and max |ΔW| of every weight;
            true without.
        expect_sha256: Hex digest that the input must have.
        observe: Called with the name of each weight that is done.
    """

    output: str | PathLike[str] | None
    force: bool
    in_place: bool
    include: Sequence[str]
    exclude: Sequence[str]
    dims: Mapping[str, Axis] | None
    allow_nonfinite: bool
    drop_optimizer: bool
    drop_opaque: bool
    dry_run: bool
    jobs: int | None
    memory: int | None
    budget_scale: float
    sha256: bool
    expect_sha256: str | None
    observe: Observe | None


@dataclass(frozen=True, slots=True)
class Request:
    """`Asked` with its defaults, and what only `convert` has: bytes of tensors in one shard."""

    output: str | PathLike[str] | None = None
    force: bool = False
    in_place: bool = False
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    dims: Mapping[str, Axis] | None = None
    allow_nonfinite: bool = False
    drop_optimizer: bool = False
    drop_opaque: bool = False
    dry_run: bool = False
    jobs: int | None = None
    memory: int | None = None
    budget_scale: float = 1.0
    sha256: bool = True
    expect_sha256: str | None = None
    observe: Observe | None = None
    max_shard_size: int | None = None

    def options(self) -> Options:
        """What all verbs have of them."""
        return Options(
            include=tuple(self.include),
            exclude=tuple(self.exclude),
            dims=self.dims or {},
            allow_nonfinite=self.allow_nonfinite,
            thorough=self.sha256,
        )
