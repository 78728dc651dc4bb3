"""Group C: tensors that do not fit their storage, and tensors of kinds that are not read."""

from __future__ import annotations

import io
import math
import warnings

import hostile
import torch
from cases import NOTED, REFUSED, Case, written
from hostile import tensor


def _viewed(name, says, why, **view):
    """A tensor over a storage of four float32, as its numbers should not be."""
    return _packed(name, lambda: hostile.state_dict(a=tensor(**view)), says, why)


def _packed(name, pickled, says, why):
    build = written("model.pt", lambda: hostile.archive(pickled()))
    return Case(name, "C", build, REFUSED, says, why)


def _saved(name, make, says, why):
    """What torch.save itself writes."""
    return Case(name, "C", written("model.pt", lambda: _torch_file(make)), NOTED, says, why)


def _torch_file(make):
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # kinds of tensors that torch gives up
        torch.save(make(), buffer)
    return buffer.getvalue()


def _beside(name, make):
    """A tensor of another kind beside a weight."""
    return lambda: {"weight": torch.eye(2), name: make()}


def _overlapping():
    return {"weight": torch.arange(10.0).as_strided((3, 3), (2, 1))}


def _quantized():
    return torch.quantize_per_tensor(torch.eye(2), 0.1, 0, torch.qint8)


def _nested():
    return torch.nested.nested_tensor([torch.ones(2, 2), torch.ones(1, 2)])


def _not_numbers():
    return {"weight": torch.tensor([[math.nan, math.inf], [-math.inf, 1.0]])}


def _norms_of_not_numbers():
    return {
        "conv.weight_orig": torch.full((2, 3), math.nan),
        "conv.weight_u": torch.full((2,), math.inf),
        "conv.weight_v": torch.full((3,), math.nan),
        "fc.weight_g": torch.full((2, 1), math.nan),
        "fc.weight_v": torch.full((2, 3), math.inf),
    }


def _norm_of_another_shape():
    return {"fc.weight_g": torch.ones(7, 1), "fc.weight_v": torch.ones(2, 3)}


def _vectors_of_another_shape():
    return {
        "conv.weight_orig": torch.ones(2, 3),
        "conv.weight_u": torch.ones(5),
        "conv.weight_v": torch.ones(3),
    }


_OUTSIDE = "reads memory that is not the file's"
_PACKING = "stands for other bytes than it shows"

_VIEWS = (
    _viewed("size out of storage", "'a' reaches byte 20 of its storage, which has 16", _OUTSIDE,
            shape=(5,)),
    _viewed("offset out of storage", "'a' reaches byte 20", _OUTSIDE, start=1),
    _viewed("stride out of storage", "'a' reaches byte 20", _OUTSIDE, shape=(2,), stride=(4,)),
    _viewed("negative size", "'a' size is -1, expected no negative number", _OUTSIDE, shape=(-1,)),
    _viewed("negative offset", "'a' offset is -1", _OUTSIDE, start=-1),
    _viewed("negative stride", "'a' stride is -1", _OUTSIDE, stride=(-1,)),
    _viewed("negative size beside none", "'a' size is -1", _OUTSIDE, shape=(0, -1), stride=(1, 1)),
    _viewed("size of 2^62", "'a' reaches byte 2^64 or more", "wraps around to 0 bytes",
            shape=(2**62,)),
    _viewed("offset of 2^62", "'a' reaches byte 2^64 or more", "wraps around to a byte inside",
            start=2**62),
    _viewed("stride of 2^62", "'a' reaches byte 2^65 or more", "wraps around to a byte inside",
            shape=(2, 2), stride=(2**62, 2**62)),
    _viewed("2^62 squared", "'a' is an expanded view: 2^126 or more bytes",
            "numel wraps around to 0",
            shape=(2**62, 2**62), stride=(0, 0)),
    _viewed("storage longer than record", "has 20 bytes in the pickle, 16 in the archive",
            _OUTSIDE, numel=5),
    _viewed("storage shorter than record", "has 12 bytes in the pickle, 16 in the archive",
            _PACKING, numel=3, shape=(3,)),
    _viewed("missing record", "lacks the record of storage '7'", _OUTSIDE, key="7"),
    _viewed("record by a path", "lacks the record of storage '../version'",
            "leads out of the records", key="../version"),
    _viewed("stride 0", "'a' is an expanded view: 4000000 bytes from a storage of 16",
            "a small file fills the memory", shape=(1000, 1000), stride=(0, 0)),
    _packed("one storage with two dtypes",
            lambda: hostile.state_dict(a=tensor(), b=tensor(kind="IntStorage")),
            "with two dtypes or sizes", _PACKING),
)  # fmt: skip

_KINDS = (
    _saved("overlapping as_strided", _overlapping,
           "overlapping view: two of its elements may be one number in the file",
           "a rewriting would change its neighbours"),
    _saved("sparse tensor", _beside("sparse", lambda: torch.eye(2).to_sparse()),
           "sparse: sparse tensor", "its indices are nobody's to trust"),
    _saved("quantized tensor", _beside("quantized", _quantized),
           "quantized: quantized tensor", "its integers are no numbers of the model"),
    _saved("nested tensor", _beside("nested", _nested),
           "nested: nested tensor", "its offsets are nobody's to trust"),
    _saved("meta tensor", _beside("meta", lambda: torch.eye(2, device="meta")),
           "meta: meta tensor", "it has no numbers"),
)  # fmt: skip

_NUMBERS = (
    _saved("NaN and Inf", _not_numbers, "2 of 4 entries are infinite",
           "a solver that never converges"),
    _saved("NaN and Inf in norm states", _norms_of_not_numbers,
           "stored σ is nan, expected a positive number", "a division by NaN"),
    _saved("g of another shape", _norm_of_another_shape,
           "'fc.weight_g' has shape (7, 1), expected 1 at every axis of 'fc.weight_v' (2, 3) but",
           "torch's kernel writes outside of its memory"),
    _saved("u of another shape", _vectors_of_another_shape,
           "'conv.weight_u' has shape (5,), expected one axis of 'conv.weight_orig' (2, 3)",
           "a product of shapes that do not fit"),
)  # fmt: skip

CASES: tuple[Case, ...] = (*_VIEWS, *_KINDS, *_NUMBERS)
