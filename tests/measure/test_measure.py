"""Several weights at a time, and each one's number once."""

import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

import normcli
from normcli import linalg
from normcli.measure.subject import once
from normcli.measure.walk import batches
from normcli.records import TensorRef


@pytest.fixture
def path(tmp_path):
    tensors = {f"{i}.weight": torch.randn(101, 100) for i in range(4)}
    save_file(tensors, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("metric", ["spectral_norm", "frobenius"])
def test_two_weights_are_measured_at_the_same_time(path, monkeypatch, metric):
    together = threading.Barrier(2, timeout=20)
    name = {"spectral_norm": "spectral_norm", "frobenius": "census_of_pieces"}[metric]
    compute = getattr(linalg, name)

    def meet(argument, **request):
        together.wait()
        return compute(argument, **request)

    monkeypatch.setattr(linalg, name, meet)
    report = normcli.inspect(path, metrics=[metric], jobs=2)
    assert len(report.measurements) == 4


def test_no_two_are_where_memory_is_for_one(path, monkeypatch):
    running, most = [], []
    compute = linalg.spectral_norm

    def count(matrix, **request):
        running.append(1)
        most.append(len(running))
        threading.Event().wait(0.01)
        running.pop()
        return compute(matrix, **request)

    monkeypatch.setattr(linalg, "spectral_norm", count)
    normcli.inspect(path, metrics=["spectral_norm"], jobs=4, memory=1)
    assert max(most) == 1


def test_a_number_is_computed_once():
    class Counted:
        calls = 0

        @once
        def number(self):
            """Of something."""
            self.calls += 1
            return 7

    counted = Counted()
    assert (counted.number, counted.number, counted.calls) == (7, 7, 1)


@given(sizes=st.lists(st.sampled_from([1, 1, 1, 99, 100, 101]), max_size=900))
def test_batches_hold_every_weight_once_and_in_order(sizes):
    refs = [TensorRef("", str(i), (100, n), "float32", 400 * n) for i, n in enumerate(sizes)]
    found = list(batches(refs))
    assert [weight for batch in found for weight in batch] == refs
    assert all(len(batch) == 1 for batch in found if batch[0].parameters > 100 * 100)
    assert all(batch and len(batch) <= 256 for batch in found)
    assert all(sum(w.parameters for w in batch) <= 1 << 18 for batch in found)
