"""Every writer as a table: an input of any format holds the same tensors in an output of any."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from produced import write_file, write_folder
from reader_tests import random_bytes
from safetensors.torch import save_file

from normcli.errors import RefusedError
from normcli.formats import READERS, WRITERS, Draft, blueprint, open_checkpoint, verify
from normcli.formats.extents import is_contiguous

torch.set_num_threads(1)

TENSORS = {
    "conv.weight": random_bytes((4, 3, 2, 2), torch.float32),
    "conv.bias": torch.zeros(4, dtype=torch.float16),
    "empty": torch.empty(0, 3),
    "steps": torch.tensor(7),
}


class Scripted(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(TENSORS["conv.weight"].clone())

    def forward(self, x):
        return x + self.weight


def _script(_, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(Scripted()), str(path))


def _shards(tensors, path):
    save_file(tensors, path.parent / "plain.safetensors")
    with open_checkpoint(path.parent / "plain.safetensors") as checkpoint:
        planned = blueprint(checkpoint, Draft(max_shard_size=100), f"sharded-{path.name}")
        write_folder(planned, path)


SOURCES = {
    "safetensors": save_file,
    "torch-zip": torch.save,
    "torch-legacy": lambda value, path: torch.save(
        value, path, _use_new_zipfile_serialization=False
    ),
    "torchscript": _script,
    "sharded-safetensors": _shards,
    "sharded-torch": _shards,
}


def test_every_reader_has_a_source_here():
    assert set(SOURCES) == set(READERS)


@pytest.mark.parametrize("output_format", WRITERS)
@pytest.mark.parametrize("input_format", SOURCES)
def test_an_input_of_any_format_is_the_same_in_any_other(tmp_path, input_format, output_format):
    source = tmp_path / input_format.removeprefix("sharded-")
    SOURCES[input_format](TENSORS, source)
    size = 100 if output_format.startswith("sharded") else None
    with open_checkpoint(source, allow_opaque=True) as before:
        draft = Draft(max_shard_size=size, drop_opaque=input_format == "torchscript")
        planned = blueprint(before, draft, output_format)
        target = tmp_path / "out"
        checksums = (write_folder if size else write_file)(planned, target)
        verify(str(target), planned, checksums, workers=2)
        with open_checkpoint(target) as after:
            assert after.format == planned.format
            assert set(after.tensors) == set(before.tensors)
            for name in before.tensors:
                ours, theirs = after.read(name), before.read(name)
                assert ours.dtype == theirs.dtype
                assert ours.shape == theirs.shape
                assert (
                    ours.reshape(-1).view(torch.uint8).equal(theirs.reshape(-1).view(torch.uint8))
                )


def test_two_runs_give_the_same_bytes(tmp_path):
    torch.save(TENSORS, tmp_path / "in.pt")
    for output_format in ("safetensors", "torch-zip"):
        for run in "ab":
            with open_checkpoint(tmp_path / "in.pt") as checkpoint:
                write_file(blueprint(checkpoint, Draft(), output_format), tmp_path / run)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("output_format", WRITERS)
def test_foreign_objects_are_never_written_unasked(tmp_path, output_format):
    torch.save({"w": torch.ones(1), "f": print}, tmp_path / "in.pt")
    with (
        open_checkpoint(tmp_path / "in.pt", allow_opaque=True) as checkpoint,
        pytest.raises(RefusedError, match="print") as caught,
    ):
        blueprint(checkpoint, Draft(max_shard_size=9), output_format)
    assert "--drop-opaque" in caught.value.hint


@pytest.mark.parametrize("input_format", [name for name in SOURCES if "sharded" not in name])
def test_the_spans_of_a_file_are_all_of_its_bytes(tmp_path, input_format):
    tied = torch.ones(3)
    SOURCES[input_format]({**TENSORS, "x": tied, "y": tied + 1}, tmp_path / "in")
    with open_checkpoint(tmp_path / "in", allow_opaque=True) as checkpoint:
        spans = [(name, bytes(piece)) for name, piece in checkpoint.spans(checkpoint.files[0])]
    assert b"".join(piece for _, piece in spans) == (tmp_path / "in").read_bytes()
    assert {name for name, _ in spans} <= {"", *checkpoint.tensors}


SHAPES = st.lists(st.integers(0, 3), max_size=4)


@given(SHAPES.flatmap(lambda shape: st.tuples(st.just(shape), st.permutations(range(len(shape))))))
def test_contiguous_is_what_torch_calls_contiguous(case):
    shape, order = case
    tensor = torch.empty(shape).permute(order)
    assert is_contiguous(tuple(tensor.shape), tensor.stride()) == tensor.is_contiguous()
    assert (
        is_contiguous((3, 1), (1, 99)) == torch.empty(3).as_strided((3, 1), (1, 99)).is_contiguous()
    )
