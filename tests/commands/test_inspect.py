"""The library function behind the command: options, progress, hashes, refusals."""

import hashlib
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

import normcli
from normcli.errors import CheckpointError, RefusedError, UsageError
from normcli.measure import METRICS
from normcli.records import GATE_METRICS, METRIC_NAMES


@pytest.fixture
def path(tmp_path):
    torch.manual_seed(0)
    tensors = {
        "a.weight": torch.randn(6, 4),
        "a.bias": torch.randn(6),
        "b.weight": torch.randn(3, 5),
        "steps": torch.zeros(2, 2, dtype=torch.int64),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_every_metric_name_is_a_metric():
    assert tuple(METRICS) == METRIC_NAMES + GATE_METRICS


@pytest.mark.parametrize("metric", [name for name in METRIC_NAMES if name != "state"])
def test_only_what_was_asked_for_is_there(path, metric):
    record = normcli.inspect(path, metrics=[metric]).to_records()[0]
    assert set(record) & set(METRIC_NAMES) == {metric}


def test_one_pass_metrics_equal_those_of_a_whole_inspection(path):
    whole = normcli.inspect(path).to_records()
    for record, full in zip(
        normcli.inspect(path, metrics=["frobenius", "nan", "inf"]).to_records(), whole, strict=True
    ):
        assert record["frobenius"] == full["frobenius"]
        assert (record["nan"], record["inf"]) == (0, 0)


def test_an_unknown_metric_is_refused_before_the_file_is_looked_at():
    with pytest.raises(UsageError, match="frobenus") as caught:
        normcli.inspect("no-such-file.pt", metrics=["frobenus"])
    assert caught.value.hint == "did you mean 'frobenius'?"


def test_a_file_that_cannot_be_read_costs_no_import_of_torch():
    code = (
        "import sys, normcli\n"
        "try: normcli.inspect('no-such-file.pt')\n"
        "except Exception as error: print(error, file=sys.stderr)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_report_carries_the_hash_of_the_file(path):
    report = normcli.inspect(path)
    assert report.files[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert normcli.inspect(path, sha256=False).files[0].sha256 == ""


def test_a_pinned_hash_is_compared_before_anything_is_measured(path):
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    assert normcli.inspect(path, expect_sha256=right.upper()).measurements
    seen = []
    with pytest.raises(RefusedError, match="expected 0000"):
        normcli.inspect(path, expect_sha256="0" * 64, observe=lambda *args: seen.append(args))
    assert seen == []


def test_progress_counts_every_weight_and_byte(path):
    seen = []
    normcli.inspect(path, observe=lambda measurement, done: seen.append((measurement.name, done)))
    assert [name for name, _ in seen] == ["a.weight", "b.weight"]
    assert [(done.weights, done.nbytes) for _, done in seen] == [(1, 96), (2, 156)]
    assert {(done.total_weights, done.total_nbytes) for _, done in seen} == {(2, 156)}


def test_what_is_not_measured_is_said_with_its_reason(path):
    skipped = {each.name: each.reason for each in normcli.inspect(path).skipped}
    assert skipped == {
        "a.bias": "vector or scalar (--all shows it)",
        "steps": "int64: norms are of floating-point weights",
    }


def test_vectors_are_measured_where_everything_is_wanted(path):
    found = {m.key: m for m in normcli.inspect(path, everything=True).measurements}
    assert set(found) == {"a.weight", "a.bias", "b.weight"}
    assert found["a.bias"].matrix_shape == (6, 1)
    assert found["a.bias"].spectral_norm.value == found["a.bias"].frobenius


def test_weights_are_chosen_by_name_and_what_matches_nothing_is_said(path):
    report = normcli.inspect(path, include=["a.*", "c.*"], exclude=["*.bias"])
    assert [m.key for m in report.measurements] == ["a.weight"]
    assert report.notes == (
        "3 of 4 tensors left out by --include and --exclude",
        "--include 'c.*' matches none of 4 tensors",
    )


def test_an_axis_from_outside_turns_the_matrix_of_a_plain_weight(path):
    found = normcli.inspect(path, dims={"a.*": 1, "b.*": 7}).measurements
    assert found[0].matrix_shape == (4, 6)
    assert found[1].matrix_shape == (3, 5)
    assert found[1].notes == ("axis 7 was asked for, but the weight has 2 axes",)


def test_a_file_that_changes_while_it_is_read_is_an_error(path):
    def append(*_):
        with path.open("ab") as file:
            file.write(b" ")

    with pytest.raises(CheckpointError, match="changed while it was read"):
        normcli.inspect(path, observe=append)


def test_torch_keeps_its_threads(path):
    before = torch.get_num_threads()
    normcli.inspect(path)
    assert torch.get_num_threads() == before


def test_one_broken_weight_hides_no_other(tmp_path):
    tensors = {
        "a.weight_orig": torch.randn(8, 6),
        "a.weight_u": torch.randn(7),
        "a.weight_v": torch.randn(6),
        "b.weight": torch.eye(3),
    }
    save_file(tensors, tmp_path / "broken.safetensors")
    broken, whole = normcli.inspect(tmp_path / "broken.safetensors").measurements
    assert broken.name == "a.weight"
    assert broken.spectral_norm is None
    assert broken.notes[0].startswith("'a.weight_u' has shape (7,), expected")
    assert whole.spectral_norm.value == pytest.approx(1, rel=1e-15)


def test_a_shard_of_a_partitioned_model_is_told_from_its_empty_weights(tmp_path):
    torch.save(
        {"module": {"fc.weight": torch.empty(0), "fc.bias": torch.ones(2)}}, tmp_path / "m.pt"
    )
    assert normcli.inspect(tmp_path / "m.pt").notes == (
        "1 weights have shape (0,): partitioned by ZeRO-3? Consolidate the shards first",
    )
