"""`apply`: a norm put on plain weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from normcli.commands.request import Request
from normcli.commands.rewriting import rewritten
from normcli.errors import UsageError, closest
from normcli.reparam.spelling import TARGETS

if TYPE_CHECKING:
    from os import PathLike

    from typing_extensions import Unpack

    from normcli.commands.request import Asked
    from normcli.records import Rewriting


def apply(
    path: str | PathLike[str],
    *,
    norm: str,
    layout: str | None = None,
    stack: bool = False,
    iterations: int | None = None,
    seed: int = 0,
    coefficient: float | None = None,
    clip: float | None = None,
    rtol: float = 1e-6,
    **asked: Unpack[Asked],
) -> Rewriting:
    """Put spectral norm or weight norm on every weight, as torch stores it, or bake it in.

    Args:
        path: A file, a folder of shards, an index, or one shard.
        norm: `spectral` or `weight`.
        layout: `legacy`, `parametrized`, or for spectral norm `plain`; without one that of the
            states in the file, else `parametrized`.
        stack: Put a spectral norm on weights that have a parametrized norm already.
        iterations: Write the u and v that torch's own initialization has after so many power
            steps; without it the converged top singular pair.
        seed: Of a random start: what `torch.manual_seed` would be given before each weight.
        coefficient: σ₁ of the result, for `plain`; 1 without.
        clip: Scale only what exceeds it, down to it, for `plain`.
        rtol: Relative width of the bracket that holds σ₁.
        **asked: What every writer takes, see `Asked`.

    Raises:
        CheckpointError: The input cannot be read, or is refused.
        OutputError: The output cannot be written.
        UsageError: An option cannot be meant.
    """
    _check(norm, layout, stack=stack, iterations=iterations, coefficient=coefficient, clip=clip)
    request = Request(**asked)
    options = replace(
        request.options(),
        norm=norm,
        layout=layout,
        stack=stack,
        iterations=iterations,
        seed=seed,
        coefficient=coefficient,
        clip=clip,
        rtol=rtol,
    )
    return rewritten("apply", path, options, request, word=norm)


_LAYOUTS = (*TARGETS, "plain")


def _check(
    norm: str,
    layout: str | None,
    *,
    stack: bool,
    iterations: int | None,
    coefficient: float | None,
    clip: float | None,
) -> None:
    """Refuse what cannot be meant together."""
    if norm not in ("spectral", "weight"):
        raise UsageError(f"no norm is called {norm!r}", hint=closest(norm, ("spectral", "weight")))
    if layout is not None and layout not in _LAYOUTS:
        hint = closest(layout, _LAYOUTS)
        raise UsageError(f"no layout is called {layout!r}", where="--layout", hint=hint)
    plain = layout == "plain"
    if norm == "weight" and plain:
        hint = "weight norm does not change the weight: there is nothing to bake"
        raise UsageError("plain is for spectral norm", where="--layout", hint=hint)
    if iterations is not None and (norm == "weight" or plain or iterations < 0):
        message = "0 or more power steps make u and v of a spectral norm; a baked one keeps none"
        raise UsageError(message, where="--iterations")
    if stack and (norm == "weight" or plain):
        message = "torch stacks a parametrized spectral norm only"
        raise UsageError(message, where="--stack", hint="remove the norm below first")
    for option, value in (("--coefficient", coefficient), ("--clip", clip)):
        if value is not None and not (plain and 0 < value < float("inf")):
            hint = "a spectral norm in torch divides by σ alone: --layout plain bakes another one"
            raise UsageError(
                "expected a positive number, with --layout plain", where=option, hint=hint
            )
    if coefficient is not None and clip is not None:
        raise UsageError("excludes --clip", where="--coefficient", hint="give one of them")
