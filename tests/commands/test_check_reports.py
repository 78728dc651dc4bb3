"""A JSON report held to a policy says what the checkpoint itself says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from normcli.commands.check import check, check_report
from normcli.errors import CheckpointError
from normcli.gate.policy import load_policy

torch.set_num_threads(1)

SAMPLES = Path(__file__).parents[2] / "sample_checkpoints"
POLICY = """\
schema = 1
[[demand]]
rule = "finite"
[[demand]]
rule = "spectral-limit"
limit = 1.01
[[demand]]
rule = "stable-rank-floor"
limit = 1.5
[[demand]]
rule = "zero-rows"
[[demand]]
rule = "cast-overflow"
dtype = "float8_e4m3fn"
[[demand]]
rule = "stale-state"
[[demand]]
rule = "unit-vectors"
[[demand]]
rule = "layout"
layout = "parametrized"
[[demand]]
rule = "coverage"
"""


def normcli(*arguments, cwd):
    command = [sys.executable, "-m", "normcli", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def odd(path):
    """A half-precision weight, an unknown parametrization, a stack, infinities and a vector."""
    model = nn.Sequential(
        parametrizations.orthogonal(nn.Linear(3, 3)),
        parametrizations.spectral_norm(parametrizations.spectral_norm(nn.Linear(3, 4))),
        nn.Linear(4, 2).half(),
    )
    state = {**model.state_dict(), "2.bias": torch.tensor([1.0, float("inf")])}
    torch.save(state, path)
    return path


CASES = ("sngan.pt", "sngan-defect.pt", "sngan-parametrized.pt", "sngan-sharded", "odd.pt")


@pytest.mark.parametrize("name", CASES)
def test_the_findings_are_those_of_the_checkpoint(tmp_path, name):
    path = odd(tmp_path / name) if name == "odd.pt" else SAMPLES / name
    (tmp_path / "normcli.toml").write_text(POLICY)
    done = normcli("check", path, "-f", "json", "-o", "report.json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    policy = load_policy(tmp_path / "normcli.toml")
    (direct,) = check([path], policy=policy).checked
    (read,) = check_report(tmp_path / "report.json", policy=policy).checked
    assert repr(read.findings) == repr(direct.findings)  # a NaN equals itself in text
    assert read.covered == direct.covered
    assert json.loads((tmp_path / "report.json").read_text())["checkpoints"] == json.loads(
        json.dumps([read.to_dict() | {"demands": demands(tmp_path)}])
    )


def demands(folder):
    """As the report has them: they are no field of a record."""
    return json.loads((folder / "report.json").read_text())["checkpoints"][0]["demands"]


def test_a_report_of_inspect_is_enough_for_the_built_in_policy(tmp_path):
    path = SAMPLES / "sngan-defect.pt"
    normcli("inspect", path, "--all", "-f", "json", "-o", "report.json", cwd=tmp_path)
    (direct,) = check([path]).checked
    (read,) = check_report(tmp_path / "report.json").checked
    assert repr(read.findings) == repr(direct.findings)


def test_vectors_that_a_report_does_not_hold_are_said(tmp_path):
    normcli("inspect", SAMPLES / "sngan.pt", "-f", "json", "-o", "report.json", cwd=tmp_path)
    verdict = check_report(tmp_path / "report.json")
    (finding,) = verdict.checked[0].findings
    assert (finding.rule, finding.severity) == ("coverage", "warning")
    assert finding.message.startswith("7 tensors are not in the report")


def test_a_number_that_a_report_does_not_hold_is_no_pass(tmp_path):
    path = SAMPLES / "sngan.pt"
    options = ("--all", "--metrics", "nan,inf,frobenius,constant", "-f", "json")
    normcli("inspect", path, *options, "-o", "report.json", cwd=tmp_path)
    with pytest.raises(CheckpointError, match=r"lacks state of 'D/conv1.weight'"):
        check_report(tmp_path / "report.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda report: report.update(schema="normcli.listing"), "is no normcli report: schema"),
        (lambda report: report.update(schema_version=2), "is no normcli report: schema_version"),
        (lambda report: report.update(checkpoints=[]), "holds no checkpoint"),
        (lambda report: report.update(unread=[{"path": "x"}]), "could not read 1 of its paths"),
        (lambda report: report["checkpoints"][0].pop("weights"), "is no normcli report"),
        (
            lambda report: report["checkpoints"][0]["weights"][0].update(nan="0"),
            "checkpoints.0.weights.0.nan",
        ),
        (
            lambda report: report["checkpoints"][0]["weights"][0].update(nan=True),
            "checkpoints.0.weights.0.nan",
        ),
    ],
)
def test_what_is_no_such_report_is_refused(tmp_path, change, message):
    normcli("inspect", SAMPLES / "sngan.pt", "-f", "json", "-o", "report.json", cwd=tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    change(report)
    (tmp_path / "report.json").write_text(json.dumps(report))
    with pytest.raises(CheckpointError) as caught:
        check_report(tmp_path / "report.json")
    assert message in str(caught.value)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[]", b'{"schema": 1, "schema": 2}', None])
def test_what_is_no_json_is_refused(tmp_path, raw):
    path = tmp_path / "report.json"
    if raw is None:
        os.mkfifo(path)  # must not hang
    else:
        path.write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"report\.json"):
        check_report(path)
