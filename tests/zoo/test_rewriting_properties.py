"""Laws of rewriting that hold for state dicts that nobody chose."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import contextmanager
from pathlib import Path

import modules
import pytest
import torch
import written
from drawn import documents
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import normcli

OTHER = {"legacy": "parametrized", "parametrized": "legacy"}
FEW = settings(max_examples=20, deadline=None)


@contextmanager
def _folder():
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _same(found, expected):
    """Nested plain data and tensors: same kinds, same order, same bits."""
    if isinstance(expected, torch.Tensor):
        alike = (found.dtype, found.shape) == (expected.dtype, expected.shape)
        return alike and torch.equal(found, expected)
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(_same(found[k], expected[k]) for k in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(_same, found, expected))
    return type(found) is type(expected) and found == expected


def _load(path):
    return torch.load(path, weights_only=True)


def _saved(drawn, target, path):
    torch.save(drawn.document(target), path)
    return path


@FEW
@given(documents(families=("weight",)), st.sampled_from(written.TARGETS))
def test_weight_norm_put_on_and_taken_off_gives_the_weight_back(drawn, target):
    with _folder() as folder:
        path = _saved(drawn, "plain", folder / "x.pt")
        normcli.apply(path, norm="weight", layout=target, output=folder / "y.pt", **drawn.options)
        normcli.remove(folder / "y.pt", output=folder / "z.pt", **drawn.options)
        found = drawn.found(_load(folder / "z.pt"))
    for layer in drawn.layers:
        expected = layer.weight.double()
        limits = torch.finfo(layer.weight.dtype)
        # g is rounded once; kernels of torch that sum in two orders differ by a little more
        ulps = 1 if limits.bits == 16 else 4
        error = (found[layer.key].double() - expected).abs()
        assert (error <= ulps * limits.eps * expected.abs()).all()
        assert torch.equal(found[layer.key], modules._taken_off(layer.module(target), "weight"))


@FEW
@given(documents(families=("spectral",)), st.sampled_from(written.TARGETS))
def test_spectral_norm_put_on_and_taken_off_divides_by_the_spectral_norm(drawn, target):
    with _folder() as folder:
        path = _saved(drawn, "plain", folder / "x.pt")
        normcli.apply(path, norm="spectral", layout=target, output=folder / "y.pt", **drawn.options)
        normcli.remove(folder / "y.pt", output=folder / "z.pt", **drawn.options)
        normcli.remove(folder / "y.pt", output=folder / "w.pt", restore=True, **drawn.options)
        found, back = (drawn.found(_load(folder / name)) for name in ("z.pt", "w.pt"))
    for layer in drawn.layers:
        assert torch.equal(back[layer.key], layer.weight)
        room = written.SIGMA[str(layer.weight.dtype).removeprefix("torch.")]
        expected = layer.weight.double() / written.singular_value(layer.weight, layer.axis)
        torch.testing.assert_close(found[layer.key].double(), expected, rtol=2 * room, atol=1e-6)


@FEW
@given(documents(), st.sampled_from(written.TARGETS))
def test_there_and_back_is_the_same_document(drawn, target):
    with _folder() as folder:
        path = _saved(drawn, target, folder / "x.pt")
        normcli.convert(path, output=folder / "y.pt", layout=OTHER[target])
        normcli.convert(folder / "y.pt", output=folder / "z.pt", layout=target)
        before, there, back = (_load(folder / f"{name}.pt") for name in "xyz")
    assert _same(back, before)
    written.assert_same_metadata(drawn.found(back), drawn.found(before))
    theirs = drawn.state(OTHER[target])
    written.assert_spelled_alike(drawn.found(there), theirs)
    written.assert_same_metadata(drawn.found(there), theirs)


@FEW
@given(documents(), st.sampled_from(written.TARGETS))
def test_removal_is_torchs_whatever_stands_around_it(drawn, target):
    with _folder() as folder:
        path = _saved(drawn, target, folder / "x.pt")
        normcli.remove(path, output=folder / "y.pt", **drawn.options)
        found = _load(folder / "y.pt")
    theirs = drawn.state("plain")
    written.assert_same_metadata(drawn.found(found), theirs)
    for layer in drawn.layers:
        theirs[layer.key] = modules._taken_off(layer.module(target), "weight")
    written.assert_equal(drawn.found(found), theirs)


def _verb(name, drawn, target):
    if name == "apply":
        family = drawn.layers[0].family
        return lambda path, output: normcli.apply(
            path, norm=family, layout=target, output=output, **drawn.options
        )
    if name == "convert":
        return lambda path, output: normcli.convert(path, output=output, layout=OTHER[target])
    verb = getattr(normcli, name)
    return lambda path, output: verb(path, output=output, **drawn.options)


VERBS = ("apply", "remove", "convert", "refresh")


def _start(name, target):
    return "plain" if name == "apply" else target


@settings(max_examples=10, deadline=None)
@given(documents(families=("spectral",)), st.sampled_from(written.TARGETS))
@pytest.mark.parametrize("name", VERBS)
def test_two_runs_write_the_same_file(name, drawn, target):
    with _folder() as folder:
        path = _saved(drawn, _start(name, target), folder / "x.pt")
        before = hashlib.sha256(path.read_bytes()).digest()
        run = _verb(name, drawn, target)
        hashes = set()
        for output in (folder / "1.pt", folder / "2.pt"):
            run(path, output)
            hashes.add(hashlib.sha256(output.read_bytes()).digest())
        assert len(hashes) == 1
        assert hashlib.sha256(path.read_bytes()).digest() == before


def _untouched(drawn, document):
    """The document without the tensors of the layers, biases apart."""
    prefixes = tuple(f"{layer.prefix}." for layer in drawn.layers)
    stripped = {
        key: tensor
        for key, tensor in drawn.found(document).items()
        if not key.startswith(prefixes) or key.endswith(".bias")
    }
    if drawn.nesting == "bare":
        return stripped
    rest = {key: value for key, value in document.items() if key not in {"state_dict", "nets"}}
    second = document["nets"]["D"] if drawn.nesting == "nested" else None
    return {"rest": rest, "D": second, "state": stripped, "order": list(document)}


@settings(max_examples=15, deadline=None)
@given(documents(families=("spectral",)), st.sampled_from(written.TARGETS))
@pytest.mark.parametrize("name", VERBS)
def test_what_no_norm_is_about_comes_back_bit_for_bit(name, drawn, target):
    with _folder() as folder:
        path = _saved(drawn, _start(name, target), folder / "x.pt")
        _verb(name, drawn, target)(path, folder / "y.pt")
        before, after = _load(path), _load(folder / "y.pt")
    assert _same(_untouched(drawn, after), _untouched(drawn, before))


@settings(max_examples=10, deadline=None)
@given(documents(families=("spectral",), nestings=("bare",)), st.sampled_from(written.TARGETS))
@pytest.mark.parametrize("name", VERBS)
def test_safetensors_gets_the_bits_that_a_torch_file_gets(name, drawn, target):
    state = drawn.state(_start(name, target))
    with _folder() as folder:
        torch.save(state, folder / "x.pt")
        save_file({k: v.contiguous() for k, v in state.items()}, folder / "x.safetensors")
        run = _verb(name, drawn, target)
        run(folder / "x.pt", folder / "y.pt")
        run(folder / "x.safetensors", folder / "y.safetensors")
        written.assert_equal(load_file(folder / "y.safetensors"), _load(folder / "y.pt"))
