"""A forward pass: in which mode, from which random numbers, and with nothing of it left behind."""

from __future__ import annotations

import random
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from normcli.formats.spelling import quoted
from normcli.initialization.guest import guest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from torch import Tensor, nn
    from torch.utils.hooks import RemovableHandle

    from normcli.initialization.layers import Layer

    # (layer, its output, what runs it again on the same inputs) → another output, or None
    Seen = Callable[[Layer, Any, Callable[[], Any]], Tensor | None]


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """How a model is run.

    Attributes:
        model: What is called.
        arguments: Of `forward`, by position.
        keywords: Of `forward`, by name.
        training: Whether in training mode: dropout, statistics of the batch.
        seed: Of the random numbers that the model draws, the same in every pass.
        where: File or argument that the batch comes from.
    """

    model: nn.Module
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    training: bool = False
    seed: int = 0
    where: str = ""

    def run(self, layers: Mapping[str, Layer], seen: Seen) -> None:
        """One pass without gradients; `seen` is told of every call of a layer as it returns.

        Buffers, the mode of every module and the state of the random numbers are as they were
        afterwards, whatever happens.

        Raises:
            UsageError: The model fails on the batch.
        """
        with (
            _as_it_was(self.model),
            _random(self.model, self.seed),
            _hooks(layers, seen),
            guest(self._said, where=self.where),
            torch.no_grad(),
            _uncompiled(),
        ):
            self.model.train(self.training)
            # tensors are handed over as copies: a model may work in place
            self.model(*map(_fresh, self.arguments), **_each_fresh(self.keywords))

    def _said(self, error: BaseException) -> str:
        """What failed: the pass on tensors of these shapes, and in which module."""
        given = [f"input {_shape(value)}" for value in self.arguments]
        given += [f"{quoted(name)} {_shape(value)}" for name, value in self.keywords.items()]
        path = _failing(self.model, error)
        return f"the forward pass on {', '.join(given)}" + (f", in {path}," if path else "")


def _shape(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"of shape {tuple(value.shape)}"
    return f"({type(value).__name__})"


def _failing(model: nn.Module, error: BaseException) -> str:
    """The innermost module whose method raised, as `'fc1' (Linear)`; empty for the model itself."""
    paths = {id(module): path for path, module in model.named_modules()}
    for frame, _ in reversed(list(walk_tb(error.__traceback__))):
        path = paths.get(id(frame.f_locals.get("self")), "")
        if path:
            return f"{quoted(path)} ({type(model.get_submodule(path)).__name__})"
    return ""


def _fresh(value: Any) -> Any:  # noqa: ANN401 - whatever the caller gives to the model
    """With every tensor in it copied, also those in lists, tuples and dicts."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    if type(value) in {list, tuple}:
        return type(value)(map(_fresh, value))
    return _each_fresh(value) if type(value) is dict else value


def _each_fresh(named: Mapping[Any, Any]) -> dict[Any, Any]:
    return {name: _fresh(value) for name, value in named.items()}


@contextmanager
def _hooks(layers: Mapping[str, Layer], seen: Seen) -> Iterator[None]:
    """Each layer tells of its calls, but not of those that `seen` makes itself."""
    busy = False
    given: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}

    def hooked(layer: Layer) -> list[RemovableHandle]:
        def before(
            _module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]
        ) -> None:
            if not busy:
                given[layer.key] = _fresh(arguments), _fresh(keywords)  # it may work in place too

        def after(module: nn.Module, _args: object, _kwargs: object, output: object) -> Any:  # noqa: ANN401 - of `seen`
            nonlocal busy
            if busy:
                return None
            arguments, keywords = given.pop(layer.key)
            busy = True
            try:
                return seen(layer, output, lambda: module(*_fresh(arguments), **_fresh(keywords)))
            finally:
                busy = False

        return [  # first of all hooks: those of the user may change what they are given
            layer.module.register_forward_pre_hook(before, prepend=True, with_kwargs=True),
            layer.module.register_forward_hook(after, with_kwargs=True),
        ]

    handles = [handle for layer in layers.values() for handle in hooked(layer)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _uncompiled() -> AbstractContextManager[object]:
    """What `torch.compile` has wrapped runs as it was written: hooks see every layer."""
    return (
        torch.compiler.set_stance("force_eager")
        if "torch._dynamo" in sys.modules
        else nullcontext()
    )


@contextmanager
def _as_it_was(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    held: list[Any] = [module._buffers for module in model.modules()]  # noqa: SLF001
    named = [(each, dict(each)) for each in held if isinstance(each, dict)]  # not of torch.jit
    buffers = [(each, each.detach().clone()) for each in model.buffers() if not each.is_meta]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for now, were in named:
            now.clear()
            now.update(were)
        with torch.no_grad():
            for buffer, value in buffers:
                if not torch.equal(buffer, value):  # an expanded one cannot be written to
                    buffer.copy_(value)


@contextmanager
def _random(model: nn.Module, seed: int) -> Iterator[None]:
    """Torch's, Python's and numpy's numbers from the seed; those of the caller go on afterwards."""
    tensors = [*model.parameters(), *model.buffers()]
    devices = sorted({each.device.index or 0 for each in tensors if each.is_cuda})
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - that models may use
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
