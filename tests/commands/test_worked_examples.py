"""The examples that everything here comes from, through the whole program.

Printed numbers carry four digits; results agree with them to one unit of the fourth.
"""

import json
import subprocess
import sys

import pytest
import torch

import normcli

W = torch.tensor([[-0.4318, 0.1616, -0.1790], [-0.1238, 0.4865, -0.2384]])
U = torch.tensor([-0.7308, -0.6826])
V = torch.tensor([0.7406, -0.5292, 0.4142])


def measured(tmp_path, state, **options):
    torch.save(state, tmp_path / "example.pt")
    (found,) = normcli.inspect(tmp_path / "example.pt", **options).measurements
    return found


def singular_values(found):
    first = found.spectral_norm.value
    return [first, first * found.spectral_norm.gap]


def digits(*values):
    return pytest.approx(list(values), abs=1.01e-4)


def test_the_frobenius_norm_of_the_first_nine_integers(tmp_path):
    found = measured(tmp_path, {"weight": torch.arange(9).float().reshape(3, 3)})
    assert [found.frobenius] == digits(14.2829)
    assert found.frobenius == pytest.approx(204**0.5, rel=1e-15)


def test_the_singular_values_of_the_example(tmp_path):
    assert singular_values(measured(tmp_path, {"weight": W})) == digits(0.6741, 0.3147)


def state(u, v):
    return {"weight_orig": W, "weight_u": u, "weight_v": v}


def test_the_weight_is_normalized_by_its_stored_vectors(tmp_path):
    found = measured(tmp_path, state(U, V))
    assert singular_values(found) == digits(1.0274, 0.4797)
    assert found.state.family == "spectral"


def test_one_more_step_of_the_algorithm_brings_it_nearer_to_one(tmp_path):
    v = W.T @ U / (W.T @ U).norm()
    u = W @ v / (W @ v).norm()
    assert u.tolist() == digits(-0.6609, -0.7505)
    assert v.tolist() == digits(0.5971, -0.6719, 0.4382)
    assert singular_values(measured(tmp_path, state(u, v))) == digits(1.0013, 0.4675)


def test_the_power_iteration_of_the_report_takes_that_step(tmp_path):
    found = measured(tmp_path, state(U, V), power_iterations=1)
    after = measured(tmp_path, {"weight": W}).spectral_norm.value / found.state.sigma_stored
    assert found.power_iteration.value == pytest.approx(after / 1.0013, abs=1e-4)


def test_weight_norm_gives_the_weight_back(tmp_path):
    g = W.norm(dim=1, keepdim=True)
    found = measured(tmp_path, {"weight_g": g, "weight_v": W})
    assert (found.state.family, found.state.dim) == ("weight", 0)
    assert found.state.g_min == pytest.approx(float(g.min()), rel=1e-7)
    assert found.frobenius == pytest.approx(float(W.double().norm()), rel=1e-6)
    assert singular_values(found) == digits(0.6741, 0.3147)


def test_the_command_line_says_the_same(tmp_path):
    torch.save(state(U, V), tmp_path / "example.pt")
    command = [sys.executable, "-m", "normcli", "inspect", tmp_path / "example.pt", "-f", "json"]
    done = subprocess.run(command, check=True, capture_output=True)
    (weight,) = json.loads(done.stdout)["checkpoints"][0]["weights"]
    assert [weight["spectral_norm"]["value"]] == digits(1.0274)
