"""What initialization of a checkpoint was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from normcli.rewrite import Options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class InitializeOptions(Options):
    """How to initialize; of `Options` those that every writer has, `layout` and `seed`.

    Attributes:
        model: Where the model came from, as it was asked for.
        model_args: The factory was called with, by position or by name.
        batch: File of the forward arguments.
        section: State dict of the file; None where only one can be meant.
        prefix: Of the model's keys in it.
        training: Whether the model runs in training mode.
        strict: Whether a weight that is left is an error.
    """

    model: str = ""
    model_args: Sequence[Any] | Mapping[str, Any] = ()
    batch: str = ""
    section: str | None = None
    prefix: str = ""
    training: bool = False
    strict: bool = False
