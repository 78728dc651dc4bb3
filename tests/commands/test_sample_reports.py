"""What normcli says of the sample checkpoints, whole, beside each of them and in the README."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "sample_checkpoints"
NAMES = [
    "sngan.pt",
    "sngan-parametrized.pt",
    "sngan-sharded",
    "sngan-defect.pt",
    "classifier-bf16.safetensors",
]


def said(command, name, *options):
    """Standard output of a real process at 80 columns, without the time that it took."""
    environment = {**os.environ, "COLUMNS": "80", "PYTHONUTF8": "1"}
    line = [sys.executable, "-m", "normcli", command, f"sample_checkpoints/{name}", *options]
    done = subprocess.run(line, cwd=ROOT, env=environment, check=True, capture_output=True)
    return re.sub(r" · [\d.]+ s$", "", done.stdout.decode(), flags=re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_the_table_is_the_one_beside_the_checkpoint(name, request):
    expected = SAMPLES / "expected" / f"{name}.txt"
    found = said("inspect", name, "--format", "table")
    if request.config.getoption("--write-golden", default=False):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


def test_the_readme_shows_a_table_that_is_true():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = (SAMPLES / "expected" / "sngan-defect.pt.txt").read_text(encoding="utf-8")
    shown = "\n".join(line[1:] for line in table.rstrip().splitlines())
    assert shown in readme


def test_the_readme_shows_a_trace_that_is_true():
    options = ("D/conv2.weight", "--iterations", "8")
    table = said("trace", "sngan.pt", *options, "--format", "table")
    shown = "\n".join(line[1:] for line in table.rstrip().splitlines())
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = f"$ normcli trace sample_checkpoints/sngan.pt {' '.join(options)}"
    assert f"{command}\n{shown}\n```" in readme


def test_the_readme_shows_a_repair_that_is_true(tmp_path):
    shutil.copy(SAMPLES / "sngan-defect.pt", tmp_path)
    environment = {**os.environ, "COLUMNS": "80", "PYTHONUTF8": "1"}
    line = [sys.executable, "-m", "normcli", "refresh", "sngan-defect.pt", "-o", "repaired.pt"]
    done = subprocess.run(line, cwd=tmp_path, env=environment, check=True, capture_output=True)
    shown = "\n".join(line[1:] for line in done.stderr.decode().rstrip().splitlines())
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = "$ normcli refresh sngan-defect.pt -o repaired.pt"
    assert f"{command}\n{shown}\n{done.stdout.decode()}```" in readme


def test_the_readme_shows_an_initialization_that_is_true(tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"<!-- digits.py -->\n```python\n(.*?)```", readme, flags=re.DOTALL)
    (tmp_path / "digits.py").write_text(code, encoding="utf-8")
    (command, shown) = re.search(
        r"\$ (python digits.py\n\$ normcli initialize .*?)\n(.*?)```", readme, flags=re.DOTALL
    ).groups()
    environment = {**os.environ, "COLUMNS": "80", "PYTHONUTF8": "1"}
    first, second = (line.removeprefix("$ ").split() for line in command.splitlines())
    subprocess.run([sys.executable, *first[1:]], cwd=tmp_path, env=environment, check=True)
    line = [sys.executable, "-m", *second]
    done = subprocess.run(line, cwd=tmp_path, env=environment, check=True, capture_output=True)
    found = "\n".join(line[1:] for line in done.stderr.decode().rstrip().splitlines())
    # what rounding leaves is another number on another processor
    rounding = re.compile(r"±\S+")
    assert rounding.sub("±", f"{found}\n{done.stdout.decode()}") == rounding.sub("±", shown)
    assert all(float(each[1:]) < 1e-6 for each in rounding.findall(found))


def test_every_sample_has_a_case_here():
    ending = (".pt", ".safetensors", "-sharded")
    assert sorted(NAMES) == sorted(p.name for p in SAMPLES.iterdir() if p.name.endswith(ending))
