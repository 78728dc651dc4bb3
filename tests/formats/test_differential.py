"""Whatever torch saves, this reads as torch.load does: random structures, both formats."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_tests import DTYPES, TYPED, assert_bit_equal, random_bytes

from normcli.formats import open_checkpoint

# Without a slash: {"a/b": t, "a": {"b": t}} has two tensors of one name, which is refused.
LETTERS = st.characters(exclude_characters="/", exclude_categories=["Cs"])
KEYS = st.one_of(
    st.text(LETTERS, min_size=1, max_size=8), st.integers(-5, 5), st.booleans(), st.none(),
    st.binary(max_size=3),
    st.tuples(st.integers(0, 3), st.text(max_size=2)),
)  # fmt: skip
PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(),
    st.sampled_from([torch.float16, torch.Size([2, 3]), torch.device("cpu")]),
)  # fmt: skip


@st.composite
def tensors(draw, dtypes):
    """A tensor of any dtype and rank, contiguous or a transposed, sliced or permuted view."""
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    tensor = random_bytes(shape, draw(st.sampled_from(dtypes)), draw(st.integers(0, 99)))
    order = draw(st.permutations(range(len(shape))))
    tensor = tensor.permute(*order) if shape else tensor
    if draw(st.booleans()) and tensor.ndim:
        tensor = tensor[1:]
    if draw(st.booleans()) and tensor.is_floating_point():
        tensor = torch.nn.Parameter(tensor, requires_grad=draw(st.booleans()))
    return tensor


def structures(dtypes):
    return st.recursive(
        st.one_of(tensors(dtypes), PLAIN),
        lambda inner: st.one_of(
            st.dictionaries(KEYS, inner, max_size=4),
            st.lists(inner, max_size=3),
            st.tuples(inner, inner),
        ),
        max_leaves=12,
    )


def leaves(value):
    """Every tensor below a value, in the order of the containers."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)


@pytest.mark.parametrize(
    ("legacy", "dtypes"), [(False, DTYPES), (True, TYPED)], ids=["zip", "legacy"]
)
def test_what_torch_saves_is_read_as_torch_loads_it(tmp_path, legacy, dtypes):
    path = tmp_path / "by_torch.pt"

    @settings(max_examples=120, deadline=None)
    @given(value=structures(dtypes), protocol=st.integers(2, 2 if legacy else 4))
    def check(value, protocol):
        torch.save(value, path, _use_new_zipfile_serialization=not legacy, pickle_protocol=protocol)
        expected = list(leaves(torch.load(path, weights_only=False)))
        with open_checkpoint(path) as checkpoint:
            assert len(checkpoint.tensors) == len(expected)
            for name, tensor in zip(checkpoint.tensors, expected, strict=True):
                assert_bit_equal(checkpoint.read(name), tensor)

    check()
