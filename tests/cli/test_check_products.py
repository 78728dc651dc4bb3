"""`normcli check`: several outputs of one pass, and a report in place of checkpoints."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
import torch
from gated import LIMIT, broken, policy, sound
from processes import environment, run


@pytest.fixture
def good(tmp_path):
    return sound(tmp_path / "good.safetensors")


@pytest.fixture
def bad(tmp_path):
    return broken(tmp_path / "bad.safetensors")


def test_several_reports_are_of_one_pass(bad, tmp_path):
    forms = {"json": "a.json", "sarif": "b.sarif", "junit": "c.xml", "gitlab": "d.json"}
    options = [f"--report={form}={name}" for form, name in forms.items()]
    done = run("check", "bad.safetensors", *options, "-f", "concise", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    read = {form: (tmp_path / name).read_text("utf-8") for form, name in forms.items()}
    assert json.loads(read["json"])["verdict"] == "fail"
    assert json.loads(read["sarif"])["version"] == "2.1.0"
    assert ET.fromstring(read["junit"]).findall(".//failure")
    assert json.loads(read["gitlab"])
    assert "fc.weight" in done.stdout


@pytest.mark.parametrize(
    ("name", "begins"),
    [("x.json", "{"), ("x.sarif", "{"), ("x.xml", "<?xml"), ("x.md", "###"), ("x.txt", " ")],
)
def test_the_suffix_of_the_output_is_its_format(bad, tmp_path, name, begins):
    done = run("check", bad, "-o", name, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert (tmp_path / name).read_text("utf-8").startswith(begins)


def test_a_job_summary_is_added_to(bad, tmp_path):
    summary = tmp_path / "summary"
    summary.write_text("# Before\n")
    for _ in range(2):
        done = run(
            "check", bad, "--report", f"markdown={summary}", cwd=tmp_path,
            GITHUB_STEP_SUMMARY=str(summary),
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
    text = summary.read_text("utf-8")
    assert text.startswith("# Before\n")
    assert text.count("### normcli check: failed") == 2


def test_files_are_written_before_standard_output_fails(bad, tmp_path):
    line = [sys.executable, "-m", "normcli", "check", str(bad), "--report", "json=a.json"]
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" >/dev/full', "sh", *line],
        env=environment(), cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert json.loads((tmp_path / "a.json").read_text())["verdict"] == "fail"


def test_what_could_not_be_read_is_in_every_document(good, tmp_path):
    done = run("check", good, "none.pt", "-f", "json", "--report", "junit=a.xml", cwd=tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stdout)["verdict"] == "fail"
    assert "none.pt" in (tmp_path / "a.xml").read_text("utf-8")


def test_a_run_that_reads_nothing_still_writes_its_verdict(tmp_path):
    done = run("check", "none.pt", "--report", "json=a.json", cwd=tmp_path)
    assert done.returncode == 2
    assert json.loads((tmp_path / "a.json").read_text())["verdict"] == "fail"


def reported(path, *options):
    """The report that `inspect` gives of a checkpoint."""
    report = path.parent / "norms.json"
    done = run("inspect", path, "--all", "-o", report, *options, cwd=path.parent)
    assert done.returncode == 0, done.stderr
    return report


@pytest.mark.parametrize("name", ["good", "bad"])
def test_a_report_of_a_gate_is_held_to_the_policy_as_its_checkpoint_is(good, bad, name, tmp_path):
    path, code = {"good": (good, 0), "bad": (bad, 1)}[name]
    direct = run("check", path, "-f", "json", "--report", "json=norms.json", cwd=tmp_path)
    done = run("check", "--from", "norms.json", "-f", "json", cwd=tmp_path)
    assert done.returncode == direct.returncode == code, done.stderr
    whole, held = (json.loads(each.stdout)["checkpoints"][0] for each in (direct, done))
    assert held["findings"] == whole["findings"]


@pytest.mark.parametrize("name", ["good", "bad"])
def test_a_report_of_an_inspection_is_held_to_what_it_can_tell(good, bad, name, tmp_path):
    path, code = {"good": (good, 0), "bad": (bad, 1)}[name]
    demands = policy(tmp_path / "p.toml", LIMIT.format(9) + '[[demand]]\nrule = "finite"\n')
    for source in (["--from", reported(path)], [path]):
        done = run("check", *source, "--policy", demands, cwd=tmp_path)
        assert done.returncode == code, done.stderr


def test_a_report_is_held_to_a_policy_without_torch(good, tmp_path):
    limit = policy(tmp_path / "limit.toml", LIMIT.format(2.0))
    code = (
        "import sys\n"
        "from normcli.cli import process\n"
        "end = process._end\n"
        "def said(code):\n"
        "    heavy = {'torch', 'numpy', 'safetensors'} & set(sys.modules)\n"
        "    sys.stderr.write(f'{sorted(heavy)} {code}')\n"
        "    end(code)\n"
        "process._end = said\n"
        "process.main()\n"
    )
    arguments = ["check", "--from", str(reported(good)), "--policy", str(limit)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, env=environment(), cwd=tmp_path, check=False,
    )  # fmt: skip
    assert (done.stderr, done.returncode) == ("[] 1", 1)


@pytest.mark.parametrize("metric", ["frobenius", "spectral_norm"])
def test_a_report_that_lacks_a_number_never_passes(good, tmp_path, metric):
    other = '[[demand]]\nrule = "frobenius-limit"\nlimit = 9\n'
    demands = policy(tmp_path / "p.toml", LIMIT.format(9) + other)
    report = reported(good, "--metrics", metric)
    done = run("check", "--from", report, "--policy", demands, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "norms.json: lacks " in done.stderr


@pytest.mark.parametrize("text", ["", "{}", "[]", "junk", '{"schema": "normcli.listing"}'])
def test_what_is_no_report_never_passes(tmp_path, text):
    report = tmp_path / "norms.json"
    report.write_text(text)
    done = run("check", "--from", report, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "norms.json: " in done.stderr


def test_a_report_of_a_gate_that_could_not_read_something_never_passes(good, tmp_path):
    run("check", good, "none.pt", "--report", "json=norms.json", cwd=tmp_path)
    done = run("check", "--from", "norms.json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "norms.json: is of a run that could not read 1 of its paths" in done.stderr


def test_a_baseline_is_compared_with(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"fc.weight": torch.eye(2)}, path)
    written = run("baseline", "write", path, "--baseline", "b.json", cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    assert run("check", path, "--baseline", "b.json", cwd=tmp_path).returncode == 0
    torch.save({"fc.weight": torch.eye(2) * 2}, path)
    done = run("check", path, "--baseline", "b.json", cwd=tmp_path)
    assert done.returncode == 1
    assert "[drift]" in done.stdout


@pytest.mark.parametrize("text", [None, "", "{}", "junk"])
def test_a_baseline_that_cannot_be_read_never_passes(good, tmp_path, text):
    if text is not None:
        (tmp_path / "b.json").write_text(text)
    done = run("check", good, "--baseline", "b.json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "b.json: " in done.stderr
