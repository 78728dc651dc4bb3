"""Exhibits, written and measured once a session however many sentences are said about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import modules
import pytest
import torch
from exhibits import Exhibit, effective_weights, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def exhibit(tmp_path_factory) -> Callable[[modules.Case], Exhibit]:
    folder, known = tmp_path_factory.mktemp("zoo"), {}

    def show(case: modules.Case) -> Exhibit:
        if case not in known:
            path = folder / f"{len(known)}.pt"
            modules.save(case, path)
            truth = modules.truth(case, path)
            known[case] = Exhibit(path, truth, measure(path), effective_weights(path))
        return known[case]

    return show


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """As many threads as normcli gives to one weight: some kernels of torch sum per thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Torch's kernels give another last bit with more threads; inspect measures with one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
