"""Headers written by hand, and what a verb plans for them."""

from __future__ import annotations

from types import SimpleNamespace

from normcli.records import ITEMSIZE, TensorRef
from normcli.reparam import weights
from normcli.rewrite import PLANS, Options


def header(*lines, dtype="float32", section=""):
    """`("key", (shape))` lines as a header: name → TensorRef."""
    refs = []
    for key, shape in lines:
        nbytes = ITEMSIZE[dtype]
        for size in shape:
            nbytes *= size
        refs.append(TensorRef(section, key, tuple(shape), dtype, nbytes))
    return {ref.name: ref for ref in refs}


def planned(verb, tensors, metadata=None, **options):
    return PLANS[verb](weights(tensors, metadata or {}), Options(**options))


def opened(tensors, *, metadata=None, skipped=(), path="model.pt", file_format="torch-zip"):
    """What a planner asks of an opened checkpoint."""
    return SimpleNamespace(
        tensors=tensors,
        metadata=metadata or {},
        skipped=skipped,
        path=path,
        format=file_format,
        files=(SimpleNamespace(name="model.pt"),),
    )


def keys(step):
    """Output key → input name that it is bit for bit, or None."""
    return {given.ref.key: given.kept or None for given in step.gives}
