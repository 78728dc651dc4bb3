"""`normcli check`: what it is told, what it refuses, and that nothing around it weakens it."""

import json
import subprocess
import sys

import pytest
import torch
from gated import LIMIT, broken, policy, sound
from processes import environment, run
from safetensors.torch import save_file


@pytest.fixture
def good(tmp_path):
    return sound(tmp_path / "good.safetensors")


@pytest.fixture
def bad(tmp_path):
    return broken(tmp_path / "bad.safetensors")


def refused(done, *sentences):
    assert done.returncode == 2, done.stdout
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("normcli: ")
    for sentence in sentences:
        assert sentence in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "missing argument 'PATH...'"),
        (["x.pt", "--policy", "none.toml"], "none.toml: "),
        (["x.pt", "--fail-on", "eror"], "did you mean 'error'?"),
        (["x.pt", "--format", "table"], "--format: no format is called 'table'"),
        (["x.pt", "--format", "sarf"], "did you mean 'sarif'?"),
        (["x.pt", "--report", "table=x"], "--report: no format is called 'table'"),
        (["x.pt", "--report", "json"], "'json' is not FORMAT=PATH"),
        (["x.pt", "--report", "json=a", "--report", "junit=a"], "a: is named for two outputs"),
        (["x.pt", "-o", "x.pt"], "x.pt: is an input"),
        (["x.pt", "--report", "json=normcli.toml", "--force"], "normcli.toml: is an input"),
        (["x.pt", "--baseline", "b.json", "-o", "b.json", "--force"], "b.json: is an input"),
        (["--from", "r.json", "-o", "r.json", "--force"], "r.json: is an input"),
        (["x.pt", "--from", "r.json"], "--from: stands in place of PATH..., 'x.pt' was given"),
        (["--from", "r.json", "--include", "*"], "--include: is for checkpoints"),
        (["--from", "r.json", "--exclude", "*"], "--exclude: is for checkpoints"),
        (["--from", "r.json", "--dim", "*=1"], "--dim: is for checkpoints"),
        (["--from", "r.json", "--certificate", "deterministic"], "--certificate: is for check"),
        (["--from", "r.json", "--failure-probability", "1e-20"], "--failure-probability: is for"),
        (["--from", "r.json", "--expect-sha256", "0" * 64], "--expect-sha256: is for checkpoints"),
        (["x.pt", "--dim", "fc"], "--dim: 'fc' is not GLOB=AXIS"),
        (["x.pt", "--certificate", "sworn"], "no certificate is called 'sworn'"),
        (["x.pt", "--failure-probability", "1"], "1.0 is not between 0 and 1"),
        (["x.pt", "--device", "cudo"], "did you mean 'cuda'?"),
        (["x.pt", "--memory", "2QB"], "'2QB' is not a size"),
        (["x.pt", "y.pt", "--expect-sha256", "0" * 64], "pins one input, 2 were given"),
        (["x.pt", "--allow-opaque"], "no such option: --allow-opaque"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_checkpoint_is_opened(
    arguments, sentence, tmp_path
):
    # whoever opened the FIFO would wait for somebody to write to it
    import os

    os.mkfifo(tmp_path / "x.pt")
    policy(tmp_path / "normcli.toml", "schema = 1\n")
    (tmp_path / "b.json").touch()
    (tmp_path / "r.json").touch()
    refused(run("check", *arguments, cwd=tmp_path), sentence)


def test_a_mistake_in_the_policy_is_said_before_any_other(tmp_path):
    policy(tmp_path / "normcli.toml", LIMIT.format("nan"))
    done = run("check", "none.pt", "--format", "nonsense", cwd=tmp_path)
    refused(done, "normcli.toml: ")
    assert "nonsense" not in done.stderr


def test_a_refusal_costs_no_import_of_torch(tmp_path):
    policy(tmp_path / "normcli.toml", LIMIT.format("nan"))
    assert "torch" not in imported("check", "none.pt", code=2, cwd=tmp_path)


def imported(*arguments, code, cwd):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "normcli", *map(str, arguments)],
        capture_output=True, text=True, env=environment(), cwd=cwd, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def test_the_nearest_policy_holds_and_one_that_is_named_wins(good, tmp_path):
    policy(tmp_path / "normcli.toml", LIMIT.format(1.0))
    lax = policy(tmp_path / "lax.toml", LIMIT.format(10.0))
    assert run("check", good, cwd=tmp_path).returncode == 1
    assert run("check", good, "--policy", lax, cwd=tmp_path).returncode == 0


def test_the_policy_that_was_found_is_named_as_seen_from_here(good, tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "below").mkdir()
    policy(tmp_path / "normcli.toml", LIMIT.format(10.0))
    assert "policy: normcli.toml" in run("check", good, cwd=tmp_path).stdout
    assert "policy: ../normcli.toml" in run("check", good, cwd=tmp_path / "below").stdout


def test_a_policy_beside_the_checkpoint_is_not_looked_for(tmp_path):
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    ours.mkdir()
    path = broken(theirs / "bad.safetensors")
    policy(theirs / "normcli.toml", 'schema = 1\nfail-on = "never"\n')
    assert run("check", path, cwd=ours).returncode == 1


@pytest.mark.parametrize("option", [[], ["--no-config"]])
def test_defaults_of_options_are_no_policy(bad, option, tmp_path):
    policy(tmp_path / "normcli.toml", "jobs = 1\n")
    done = run("check", bad, *option, cwd=tmp_path)
    assert done.returncode == 1
    assert "built-in policy" in done.stdout


def test_no_config_leaves_the_policy_where_it_is(good, tmp_path):
    policy(tmp_path / "normcli.toml", f"jobs = 1\n{LIMIT.format(1.0)}")
    assert run("check", good, "--no-config", cwd=tmp_path).returncode == 1


@pytest.mark.parametrize(
    "key",
    [
        'exclude = ["*"]', 'include = ["a.weight"]', 'metrics = ["frobenius"]', "seed = 5",
        'certificate = "none"', "failure-probability = 0.9999", 'dim = {"*" = 1}', "rtol = 0.9",
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["normcli.toml", "pyproject.toml", "--config"])
def test_no_key_of_a_configuration_file_weakens_a_check(tmp_path, key, where):
    path = tmp_path / "model.safetensors"
    save_file({"a.weight": torch.eye(3), "b.weight": torch.full((2, 2), torch.nan)}, path)
    name = "other.toml" if where == "--config" else where
    table = "[tool.normcli]\n" if where == "pyproject.toml" else ""
    policy(tmp_path / name, f"{table}{key}\n")
    option = ["--config", name] if where == "--config" else []
    plain = run("check", path, "-f", "json", "--no-config", cwd=tmp_path)
    done = run("check", path, "-f", "json", *option, cwd=tmp_path)
    assert plain.returncode == done.returncode == 1
    assert json.loads(done.stdout) == json.loads(plain.stdout)


def test_keys_of_a_configuration_file_that_change_no_verdict_count(bad, tmp_path):
    policy(tmp_path / "normcli.toml", 'color = "always"\n')
    done = run("check", bad, cwd=tmp_path)
    assert done.returncode == 1
    assert "\x1b" in done.stdout


@pytest.mark.parametrize(
    "name",
    [
        "POLICY", "FAIL_ON", "BASELINE", "EXCLUDE", "INCLUDE", "FROM", "FORMAT", "CERTIFICATE",
        "FAILURE_PROBABILITY", "SEED", "DIM", "ALLOW_OPAQUE", "CONFIG", "EXPECT_SHA256",
    ],
)  # fmt: skip
def test_no_variable_weakens_a_check(bad, tmp_path, name):
    variables = {f"NORMCLI_{name}": "never", f"NORMCLI_CHECK_{name}": "never"}
    done = run("check", bad, cwd=tmp_path, **variables)
    assert (done.returncode, done.stderr) == (1, "")


def test_include_and_exclude_of_the_command_line_count(bad, tmp_path):
    both = tmp_path / "both.safetensors"
    save_file({"a.weight": torch.eye(2), "b.weight": torch.full((2, 2), torch.nan)}, both)
    assert run("check", both, "--exclude", "b.*", cwd=tmp_path).returncode == 0
    assert run("check", both, "--include", "b.*", cwd=tmp_path).returncode == 1


def test_a_path_may_begin_with_a_dash_after_two_of_them(tmp_path):
    broken(tmp_path / "--fail-on=never")
    assert run("check", "--", "--fail-on=never", cwd=tmp_path).returncode == 1
