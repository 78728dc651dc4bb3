"""Parametrizations that a file does not tell: named and explained, never guessed at."""

from __future__ import annotations

import pytest
import torch
from exhibits import effective_weights, measure
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm
from torch.nn.utils.parametrize import register_parametrization


class Symmetric(nn.Module):
    """A custom map without any state of its own."""

    def forward(self, weight):
        return (weight + weight.T) / 2

    def right_inverse(self, weight):
        return weight


class Halves(nn.Module):
    """A custom map of two tensors that are no g and v."""

    def forward(self, upper, lower):
        return torch.cat([upper, lower])

    def right_inverse(self, weight):
        return weight[:2].clone(), weight[2:].clone()


def _linear():
    torch.manual_seed(7)
    return nn.Linear(4, 4)


def _custom_on_spectral():
    layer = parametrizations.spectral_norm(_linear())
    return register_parametrization(layer, "weight", Symmetric())


def _weight_on_spectral():
    return parametrizations.weight_norm(parametrizations.spectral_norm(_linear()))


def _spectral_on_custom():
    layer = register_parametrization(_linear(), "weight", Symmetric())
    return parametrizations.spectral_norm(layer)


def _nested():
    layer = register_parametrization(_linear(), "weight", Symmetric())
    register_parametrization(layer.parametrizations["weight"], "original", Symmetric())
    return layer


def _orthogonal(**options):
    return lambda: parametrizations.orthogonal(_linear(), **options)


FOR_ALL_TO_SEE = {
    "orthogonal by exponential": _orthogonal(orthogonal_map="matrix_exp"),
    "orthogonal by Cayley map": _orthogonal(orthogonal_map="cayley"),
    "orthogonal by reflections": _orthogonal(orthogonal_map="householder"),
    "orthogonal without trivialization": _orthogonal(use_trivialization=False),
    "custom": lambda: register_parametrization(_linear(), "weight", Symmetric()),
    "custom of two tensors": lambda: register_parametrization(_linear(), "weight", Halves()),
    "spectral norm on custom": _spectral_on_custom,
    "nested": _nested,
}
ONLY_BY_METADATA = {
    "custom on spectral norm": _custom_on_spectral,
    "weight norm on spectral norm": _weight_on_spectral,
}


def _assert_unknown(measurement):
    assert measurement.state.family == "unknown"
    assert measurement.notes
    assert measurement.frobenius is None
    assert measurement.spectral_norm is None
    assert measurement.power_iteration is None


def _saved(layer, path, *, metadata=True):
    state = nn.ModuleDict({"layer": layer}).state_dict()
    torch.save(state if metadata else dict(state), path)
    return path


@pytest.mark.parametrize("metadata", [True, False], ids=["with metadata", "without metadata"])
@pytest.mark.parametrize("name", FOR_ALL_TO_SEE)
def test_an_unknown_parametrization_has_a_reason_and_no_numbers(name, metadata, tmp_path):
    path = _saved(FOR_ALL_TO_SEE[name](), tmp_path / "x.pt", metadata=metadata)
    measured = measure(path)
    _assert_unknown(measured["layer.weight"])
    assert set(measured) == {"layer.weight", "layer.bias"}
    assert "layer.weight" not in effective_weights(path)


@pytest.mark.parametrize("name", ONLY_BY_METADATA)
def test_a_map_without_state_on_top_of_a_norm_is_seen_in_the_metadata(name, tmp_path):
    path = _saved(ONLY_BY_METADATA[name](), tmp_path / "x.pt")
    _assert_unknown(measure(path)["layer.weight"])


@pytest.mark.parametrize("name", ONLY_BY_METADATA)
def test_without_metadata_the_same_file_is_a_spectral_norm(name, tmp_path):
    path = _saved(ONLY_BY_METADATA[name](), tmp_path / "x.pt", metadata=False)
    measurement = measure(path)["layer.weight"]
    assert (measurement.state.family, measurement.state.layout) == ("spectral", "parametrized")
    assert measurement.spectral_norm is not None


def test_parametrized_spectral_norm_of_a_vector_is_unknown(tmp_path):
    layer = parametrizations.spectral_norm(_linear(), "bias")
    _assert_unknown(measure(_saved(layer, tmp_path / "x.pt"))["layer.bias"])


def _state(layer):
    return dict(nn.ModuleDict({"layer": layer}).state_dict())


def _without(layer, *keys):
    return {key: value for key, value in _state(layer).items() if key not in keys}


CONTRADICTIONS = {
    "a lost u": lambda: _without(spectral_norm(_linear()), "layer.weight_u"),
    "a lost v": lambda: _without(spectral_norm(_linear()), "layer.weight_v"),
    "a lost original": lambda: _without(spectral_norm(_linear()), "layer.weight_orig"),
    "a lost g": lambda: _without(weight_norm(_linear()), "layer.weight_g"),
    "a lost weight_v": lambda: _without(weight_norm(_linear()), "layer.weight_v"),
    "a lost mask": lambda: _without(prune.identity(_linear(), "weight"), "layer.weight_mask"),
    "a u of the wrong length": lambda: (
        _state(spectral_norm(_linear())) | {"layer.weight_u": torch.ones(3)}
    ),
    "a v of the wrong length": lambda: (
        _state(spectral_norm(_linear())) | {"layer.weight_v": torch.ones(5)}
    ),
    "a g that fits no axis": lambda: (
        _state(weight_norm(_linear())) | {"layer.weight_g": torch.ones(2, 2)}
    ),
    "a g that is too long": lambda: (
        _state(weight_norm(_linear())) | {"layer.weight_g": torch.ones(9, 1)}
    ),
    "a parametrized u of the wrong length": lambda: (
        _state(parametrizations.spectral_norm(_linear()))
        | {"layer.parametrizations.weight.0._u": torch.ones(3)}
    ),
    "both kinds of norm": lambda: _state(spectral_norm(_linear())) | _state(weight_norm(_linear())),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_parts_that_make_no_norm_are_a_note_and_no_number(name, tmp_path):
    torch.save(CONTRADICTIONS[name](), tmp_path / "x.pt")
    measurement = measure(tmp_path / "x.pt")["layer.weight"]
    assert measurement.notes
    assert "'layer." in measurement.notes[0]
    assert measurement.spectral_norm is None


def test_a_norm_beside_the_weight_itself_is_a_note(tmp_path):
    state = _state(spectral_norm(_linear())) | _state(_linear())
    torch.save(state, tmp_path / "x.pt")
    assert measure(tmp_path / "x.pt")["layer.weight"].notes
