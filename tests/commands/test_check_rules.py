"""Every rule on real checkpoints: one that passes, ones that break it, and both ends of a limit."""

import datetime as dt
from types import MappingProxyType

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm

from normcli.commands.check import check
from normcli.errors import UsageError
from normcli.records import Demand, Ignore, Policy
from normcli.rules import RULES

torch.set_num_threads(1)

TODAY = dt.date(2026, 11, 22)
NAN, INF = float("nan"), float("inf")
DIAGONAL = torch.diag(torch.tensor([4.0, 2.0, 1.0]))  # σ₁ 4, ‖W‖_F √21, stable rank 21/16


def found(tmp_path, state, rule, *, weights=(), optional=False, baseline=None, **parameters):
    """Messages of the findings of one demand on a checkpoint."""
    path = tmp_path / "model.pt"
    torch.save(state, path)
    verdict = check([path], policy=policy(rule, weights, optional, parameters), baseline=baseline)
    assert not verdict.unread
    return [each for each in verdict.checked[0].findings if each.rule == rule]


def policy(rule, weights=(), optional=False, parameters=None, ignores=()):
    defaults = {
        name: each.default
        for name, each in RULES[rule].parameters.items()
        if name not in (parameters or {})
    }
    given = MappingProxyType({**defaults, **(parameters or {})})
    demand = Demand(rule, RULES[rule].severity, given, tuple(weights), optional)
    return Policy((demand,), tuple(ignores))


def with_value(value):
    weight = torch.arange(1.0, 10.0).reshape(3, 3)
    weight[1, 2] = value
    return {"fc.weight": weight}


def stale(factor):
    layer = spectral_norm(nn.Linear(6, 4))
    layer.eval()(torch.randn(1, 6))
    state = layer.state_dict()
    u, _, v = torch.linalg.svd(state["weight_orig"])
    state["weight_u"], state["weight_v"] = u[:, 0].contiguous(), v[0] * factor
    return state


def legacy_and_parametrized():
    layer = parametrizations.weight_norm(nn.Linear(3, 2))
    return {"a.weight_g": torch.ones(2, 1), "a.weight_v": torch.ones(2, 3)} | {
        f"b.{key}": value for key, value in layer.state_dict().items()
    }


PASSING = {
    "finite": (with_value(1.0), {}),
    "nonzero": (with_value(0.0), {}),
    "zero-rows": (with_value(0.0), {}),
    "spectral-limit": ({"fc.weight": DIAGONAL}, {"limit": 4.001}),
    "spectral-floor": ({"fc.weight": DIAGONAL}, {"limit": 3.999}),
    "frobenius-limit": ({"fc.weight": DIAGONAL}, {"limit": 21**0.5 + 1e-6}),
    "stable-rank-floor": ({"fc.weight": DIAGONAL}, {"limit": 21 / 16 - 1e-4}),
    "lipschitz-limit": ({"a.weight": DIAGONAL, "b.weight": DIAGONAL}, {"limit": 16.01}),
    "stale-state": (stale(1.0), {}),
    "unit-vectors": (stale(1.0), {}),
    "degenerate-state": (stale(1.0), {}),
    "orphan-state": (stale(1.0), {}),
    "layout": (legacy_and_parametrized(), {"layout": "parametrized", "weights": ["b.*"]}),
    "dtype": (with_value(1.0), {"dtype": ["float32", "float16"]}),
    "shape": (with_value(1.0), {"shape": [3, -1]}),
    "required": (with_value(1.0), {"weights": ["fc.weight"]}),
    "cast-overflow": (with_value(65519.0), {"dtype": "float16"}),
    "outlier": ({f"l.{i}.weight": DIAGONAL * (1 + i / 100) for i in range(9)}, {}),
    "foreign-objects": (with_value(1.0), {}),
    "coverage": (with_value(1.0), {}),
}

BREAKING = [
    ("finite", with_value(NAN), {}),
    ("finite", with_value(-INF), {}),
    ("finite", {"fc.bias": torch.tensor([1.0, NAN])}, {}),
    ("finite", {"scale": torch.tensor(INF, dtype=torch.float16)}, {}),
    ("nonzero", {"fc.weight": torch.zeros(3, 3)}, {}),
    ("nonzero", {"fc.weight": torch.full((3, 3), 0.5)}, {}),
    ("zero-rows", {"fc.weight": torch.eye(3)[:, :2].contiguous()}, {}),
    ("spectral-limit", {"fc.weight": DIAGONAL}, {"limit": 3.999}),
    ("spectral-limit", with_value(NAN), {"limit": 1e9}),
    ("spectral-limit", with_value(INF), {"limit": 1e9}),
    ("spectral-floor", {"fc.weight": DIAGONAL}, {"limit": 4.001}),
    ("spectral-floor", with_value(NAN), {"limit": 1e-9}),
    ("frobenius-limit", {"fc.weight": DIAGONAL}, {"limit": 21**0.5 - 1e-6}),
    ("frobenius-limit", with_value(NAN), {"limit": 1e9}),
    ("stable-rank-floor", {"fc.weight": DIAGONAL}, {"limit": 21 / 16 + 1e-4}),
    ("stable-rank-floor", with_value(NAN), {"limit": 1e-9}),
    ("lipschitz-limit", {"a.weight": DIAGONAL, "b.weight": DIAGONAL}, {"limit": 15.99}),
    ("lipschitz-limit", {"a.weight": DIAGONAL, **with_value(NAN)}, {"limit": 1e9}),
    ("stale-state", stale(0.5), {}),
    ("unit-vectors", stale(0.5), {}),
    ("degenerate-state", stale(-1.0), {}),
    ("degenerate-state", stale(NAN), {}),
    (
        "degenerate-state",
        {"a.weight_g": torch.ones(2, 1), "a.weight_v": torch.eye(2, 3).mul(0)},
        {},
    ),
    ("orphan-state", {"fc.weight_u": torch.ones(3), **with_value(1.0)}, {}),
    ("orphan-state", {**stale(1.0), "weight": torch.ones(4, 6)}, {}),
    ("layout", legacy_and_parametrized(), {"layout": "parametrized"}),
    ("layout", legacy_and_parametrized(), {"layout": "plain"}),
    ("dtype", with_value(1.0), {"dtype": "bfloat16"}),
    ("shape", with_value(1.0), {"shape": [3, 4]}),
    ("shape", with_value(1.0), {"shape": [-1]}),
    ("required", with_value(1.0), {"weights": ["head.weight"]}),
    ("cast-overflow", with_value(65520.0), {"dtype": "float16"}),
    ("cast-overflow", with_value(500.0), {"dtype": ["bfloat16", "float8_e4m3fn"]}),
    (
        "outlier",
        {f"l.{i}.weight": DIAGONAL * (1 + i / 100 + 9 * (i == 4)) for i in range(9)},
        {},
    ),
    ("foreign-objects", {**with_value(1.0), "config": dt.timedelta(1)}, {}),
    ("coverage", {**with_value(1.0), "sparse": torch.eye(3).to_sparse()}, {}),
    ("coverage", {}, {}),
]


@pytest.mark.parametrize("rule", PASSING)
def test_a_checkpoint_that_is_as_demanded_passes(tmp_path, rule):
    state, parameters = PASSING[rule]
    assert found(tmp_path, state, rule, **parameters) == []


@pytest.mark.parametrize(("rule", "state", "parameters"), BREAKING)
def test_a_checkpoint_that_is_not_breaks_the_rule(tmp_path, rule, state, parameters):
    findings = found(tmp_path, state, rule, **parameters)
    assert findings
    assert all(each.message for each in findings)


def test_every_rule_has_a_row_of_each_kind():
    compared = {name for name, rule in RULES.items() if rule.compares}
    assert set(PASSING) | compared == set(RULES)
    assert {rule for rule, _, _ in BREAKING} | compared == set(RULES)


@pytest.mark.parametrize("rule", [name for name in RULES if RULES[name].scope != "checkpoint"])
def test_a_pattern_that_matches_nothing_is_an_error(tmp_path, rule):
    parameters = {k: v for k, v in PASSING.get(rule, ({}, {}))[1].items() if k != "weights"}
    if rule in ("growth", "drift"):
        parameters = {"factor": 2.0} if rule == "growth" else {}
    state = stale(1.0)
    (finding,) = [
        each
        for each in found(tmp_path, state, rule, weights=["nothing.*"], **parameters)
        if "nothing.*" in each.message
    ]
    assert finding.severity == "error"
    optional = found(tmp_path, state, rule, weights=["nothing.*"], optional=True, **parameters)
    assert not any("nothing.*" in each.message for each in optional)


def test_a_limit_within_the_bracket_is_told_apart_by_a_narrower_one(tmp_path):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(300, 200, generator=generator, dtype=torch.float64)
    sigma = float(torch.linalg.matrix_norm(weight, 2))
    for factor, count in ((1 + 1e-9, 0), (1 - 1e-9, 1)):
        findings = found(tmp_path, {"w.weight": weight}, "spectral-limit", limit=sigma * factor)
        assert len(findings) == count
        assert "straddles" not in "".join(each.message for each in findings)


def test_a_limit_that_no_bracket_can_tell_is_a_finding_that_says_so(tmp_path):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(300, 200, generator=generator, dtype=torch.float64)
    sigma = float(torch.linalg.matrix_norm(weight, 2))
    (finding,) = found(tmp_path, {"w.weight": weight}, "spectral-limit", limit=sigma)
    assert finding.lower <= sigma <= finding.upper
    assert "straddles" in finding.message


def test_a_policy_without_a_spectral_rule_never_pays_for_sigma(tmp_path, monkeypatch):
    monkeypatch.setattr("normcli.linalg.spectral_norm", lambda *_, **__: pytest.fail("computed"))
    monkeypatch.setattr("normcli.linalg.spectral_norms", lambda *_, **__: pytest.fail("computed"))
    state = {**stale(1.0), "fc.weight": DIAGONAL}
    demands = [
        policy(rule, parameters=PASSING[rule][1]).demands[0]
        for rule in ("finite", "nonzero", "zero-rows", "unit-vectors", "degenerate-state")
    ]
    torch.save(state, tmp_path / "model.pt")
    verdict = check([tmp_path / "model.pt"], policy=Policy(tuple(demands)))
    assert verdict.passed


def test_a_limit_on_some_weights_computes_nothing_of_the_others(tmp_path):
    torch.save({"D.weight": DIAGONAL, "G.weight": DIAGONAL}, tmp_path / "model.pt")
    verdict = check(
        [tmp_path / "model.pt"], policy=policy("spectral-limit", ["D.*"], parameters={"limit": 5.0})
    )
    first, second = verdict.checked[0].report.measurements
    assert first.spectral_norm.value == pytest.approx(4.0)
    assert second.spectral_norm is None
    assert second.frobenius is None


def test_an_ignore_counts_until_its_last_day(tmp_path):
    torch.save(with_value(NAN), tmp_path / "model.pt")
    for until, passed, counts in (
        (TODAY, True, 0),
        (None, True, 0),
        (TODAY - dt.timedelta(1), False, 2),
    ):
        ignores = [Ignore("finite", "known", ("fc.*",), until)]
        held = policy("finite", ignores=ignores)
        verdict = check([tmp_path / "model.pt"], policy=held, today=TODAY)
        assert verdict.passed is passed
        assert len(verdict.checked[0].counted) == counts
    lapsed = verdict.checked[0].findings[-1]
    assert (lapsed.severity, lapsed.rule) == ("warning", "finite")


def orthogonal(value):
    layer = parametrizations.orthogonal(nn.Linear(3, 3))
    state = layer.state_dict()
    state["parametrizations.weight.original"][0, 1] = value
    return state


def test_a_parametrization_of_another_kind_is_said_and_its_parts_are_looked_at(tmp_path):
    torch.save(orthogonal(0.5), tmp_path / "model.pt")
    verdict = check([tmp_path / "model.pt"])
    assert verdict.passed
    assert {(each.rule, each.severity) for each in verdict.checked[0].findings} == {
        ("nonzero", "warning"),
        ("coverage", "warning"),
    }
    torch.save(orthogonal(NAN), tmp_path / "model.pt")
    (error,) = check([tmp_path / "model.pt"]).failing
    assert (error.rule, error.weight, error.value) == ("finite", "weight", 1)


def test_an_ignore_reaches_what_was_not_measured(tmp_path):
    torch.save({**with_value(1.0), "sparse": torch.eye(3).to_sparse()}, tmp_path / "model.pt")
    for pattern, passed in (("spar*", True), ("dense", False)):
        held = policy("coverage", ignores=[Ignore("coverage", "known", (pattern,))])
        verdict = check([tmp_path / "model.pt"], policy=held, fail_on="warning")
        assert verdict.passed is passed


def test_a_checkpoint_without_tensors_never_passes(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "model.pt")
    for held in (None, policy("finite"), policy("stale-state")):
        verdict = check([tmp_path / "model.pt"], policy=held)
        assert verdict.exit_code == 1
        assert [each.rule for each in verdict.failing] == ["coverage"]


def test_no_checkpoint_is_a_mistake():
    with pytest.raises(UsageError, match="no checkpoint to check"):
        check([])


def test_what_cannot_be_read_never_passes(tmp_path):
    torch.save(with_value(1.0), tmp_path / "good.pt")
    (tmp_path / "bad.pt").write_bytes(b"PK\x03\x04")
    paths = [tmp_path / "good.pt", tmp_path / "bad.pt", tmp_path / "none.pt"]
    verdict = check(paths, policy=policy("finite"), fail_on="never")
    assert [each.path for each in verdict.unread] == [str(paths[1]), str(paths[2])]
    assert (verdict.passed, verdict.exit_code) == (False, 2)
