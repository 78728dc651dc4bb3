"""What a writer was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normcli.records import Axis


@dataclass(frozen=True, slots=True)
class Options:
    """How to rewrite; each verb looks at those that it has.

    Attributes:
        include: Globs of weights; all where there is none.
        exclude: Globs; they win.
        dims: Glob → row axis, first match wins; None is one norm over the whole tensor.
        norm: `spectral` or `weight`: what `apply` puts on.
        layout: `legacy`, `parametrized`, `plain`, or None for what the file suggests.
        stack: Whether `apply` puts a norm on a weight that has one.
        iterations: Power steps instead of the converged pair; None converges.
        seed: Of a random start, and of the iteration that finds σ₁.
        coefficient: σ₁ that `apply` bakes.
        clip: σ₁ above which `apply` scales down to it.
        exact: Whether `remove` divides by the exact σ₁ instead of the stored σ.
        restore: Whether `remove` gives the original back.
        rtol: Relative width of the bracket that holds σ₁.
        allow_nonfinite: Whether a result that holds NaN or Inf is written.
        thorough: Whether max |ΔW| is computed where nothing is made anew.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    dims: Mapping[str, Axis] = field(default_factory=lambda: MappingProxyType({}))
    norm: str = "spectral"
    layout: str | None = None
    stack: bool = False
    iterations: int | None = None
    seed: int = 0
    coefficient: float | None = None
    clip: float | None = None
    exact: bool = False
    restore: bool = False
    rtol: float = 1e-6
    allow_nonfinite: bool = False
    thorough: bool = False
