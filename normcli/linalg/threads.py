"""How many threads torch computes with."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


def limit_this_thread() -> None:
    """Give torch one thread in the calling thread; it counts only there."""
    torch.set_num_threads(1)


@contextmanager
def one_torch_thread() -> Iterator[int]:
    """Give torch one thread within the block; yields how many it had.

    Its own threads wait for each other at the end of every operation: with another process on the
    same processors that takes a hundred times longer than a short operation. And some of torch's
    kernels sum by threads: with one, numbers depend on nothing but the tensor.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        yield threads
        return
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
