"""`initialize`: a model in memory, its layers initialized from a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from normcli.records import Initialization


def initialize(
    model: nn.Module,
    batch: Tensor | Sequence[Any] | Mapping[str, Any],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    training: bool = False,
    seed: int = 0,
    strict: bool = False,
) -> Initialization:
    """W ← W/σ[t] and b ← (b − μ[t])/σ[t] for the output t of every layer on a batch, in place.

    After it every unit of every initialized layer has mean 0 and (population) standard deviation 1
    over batch and positions. Weights stay as the model stores them: plain, or under torch's weight
    norm of either API, g on its own axis. A layer that is used twice or never, has no bias, shares
    its weight, or has a unit that does not vary is left as it is, and told of.

    Source: Salimans & Kingma, arXiv:1602.07868, section 3.

    Args:
        model: Changed in place, but not if an error is raised; parameters keep their identity.
        batch: Arguments of its `forward`: a tensor, a sequence by position, or a mapping by name.
        include: Globs on keys of weights in the state dict that the weights would have without
            norms (`conv.weight`); all without one.
        exclude: Globs of weights to leave as they are.
        training: Run the model in training mode instead of evaluation mode. Its buffers and the
            mode of its modules are given back either way.
        seed: Of the random numbers that the model draws; those of the caller are not touched.
        strict: Raise if a weight of two axes or more is left.

    Raises:
        UsageError: The model fails on the batch, nothing can be initialized, or with `strict` a
            weight would be left.
    """
    from normcli.initialization.in_memory import initialized_model

    return initialized_model(
        model,
        batch,
        include=include,
        exclude=exclude,
        training=training,
        seed=seed,
        strict=strict,
    )
