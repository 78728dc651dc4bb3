"""Whatever stands in a state dict under the names of a norm: numbers or a reason, never a crash."""

import json
import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from normcli.measure import METRICS, Options, measure_batch
from normcli.records import TensorRef
from normcli.reparam import weights

STATES = [
    ["weight_orig", "weight_u", "weight_v"],
    ["weight_orig", "weight_u", "weight"],
    ["weight_g", "weight_v"],
    ["weight_bar", "weight_u", "weight_v"],
    ["weight_orig", "weight_mask"],
    ["weight", "u0", "sv0"],
    ["weight", "sn_u", "sn_sigma"],
    [
        "parametrizations.weight.original",
        "parametrizations.weight.0._u",
        "parametrizations.weight.0._v",
    ],
    ["parametrizations.weight.original0", "parametrizations.weight.original1"],
    [
        "parametrizations.weight.original0",
        "parametrizations.weight.original1",
        "parametrizations.weight.1._u",
        "parametrizations.weight.1._v",
    ],
    ["weight"],
]
DTYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn,
    torch.float8_e5m2, torch.float8_e8m0fnu, torch.complex64, torch.complex128,
]  # fmt: skip
SIZES = st.sampled_from([0, 1, 2, 3, 4])
SPECIAL = st.sampled_from([None, 0.0, math.nan, math.inf, -math.inf])


class Held:
    """A checkpoint in memory."""

    def __init__(self, tensors):
        self.held = tensors
        self.tensors = {
            key: TensorRef("", key, tuple(t.shape), str(t.dtype)[6:], t.numel() * t.element_size())
            for key, t in tensors.items()
        }

    def read(self, name):
        return self.held[name].clone()


def part_shape(key, shape, axis):
    """The shape that torch gives to that part of a weight."""
    leaf = key.rpartition(".")[2]
    others = math.prod(size for i, size in enumerate(shape) if i != axis)
    rows = tuple(size if i == axis else 1 for i, size in enumerate(shape))
    by_leaf = {
        "weight_u": (shape[axis],), "_u": (shape[axis],), "_v": (others,), "u0": (1, shape[0]),
        "sn_u": (1, shape[0]), "sv0": (1,), "sn_sigma": (1,), "weight_g": rows, "original0": rows,
    }  # fmt: skip
    return by_leaf.get(leaf, shape)


@st.composite
def parts(draw):
    keys = draw(st.sampled_from(STATES))
    shape = tuple(draw(st.lists(SIZES, min_size=1, max_size=4)))
    axis = draw(st.integers(0, len(shape) - 1))
    dtype, mixed = draw(st.sampled_from(DTYPES)), draw(st.booleans())
    tensors = {}
    for key in keys:
        fits = draw(st.integers(0, 9)) > 0
        size = part_shape(key, shape, axis) if fits else tuple(draw(st.lists(SIZES, max_size=3)))
        if key == "weight_v" and "weight_g" not in keys and fits:
            size = part_shape("_v", shape, axis)
        kind = draw(st.sampled_from(DTYPES)) if mixed else dtype
        tensors[key] = entries(draw, size, kind)
    return tensors


def entries(draw, size, dtype):
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    source = torch.complex128 if dtype.is_complex else torch.float64
    values = torch.randn(size, dtype=source, generator=generator)
    values = values * draw(st.sampled_from([0, 1, 1, 1e-30, 1e30, 1e300]))
    special = draw(SPECIAL)
    if special is not None and values.numel():
        values.view(-1)[0] = special
    return values.abs().to(dtype) if dtype == torch.float8_e8m0fnu else values.to(dtype)


@settings(max_examples=400, deadline=None)
@given(tensors=parts(), axis=st.sampled_from(["auto", "auto", None, 0, 1, 5]))
def test_any_parts_give_numbers_or_a_reason(tensors, axis):
    checkpoint = Held(tensors)
    for weight in weights(checkpoint.tensors):
        [found] = measure_batch(checkpoint, [weight], Options(frozenset(METRICS)), [axis])
        json.dumps(found.to_record(), allow_nan=False)
        if found.spectral_norm is None:
            assert found.notes
        elif not math.isnan(found.spectral_norm.value):
            norm = found.spectral_norm
            assert norm.lower <= norm.value <= norm.upper <= found.frobenius * (1 + 1e-6)
