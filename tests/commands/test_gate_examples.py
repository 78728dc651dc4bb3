"""What the README and its picture say of the gate, held to what real processes say."""

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "sample_checkpoints"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PICTURE = ROOT / "docs" / "check.svg"


def block(marker):
    """The code that follows a marker in the README."""
    (code,) = re.findall(rf"<!-- {marker} -->\n```\w+\n(.*?)```", README, flags=re.DOTALL)
    return code


def said(command, folder, columns=80):
    """Both streams of a command line as a terminal shows them, without the time that it took."""
    environment = {**os.environ, "COLUMNS": str(columns), "PYTHONUTF8": "1"}
    words = [sys.executable, "-m", *command.split()]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr.decode()
    text = (done.stderr + done.stdout).decode()
    return re.sub(r" · [\d.]+ s$", "", text, flags=re.MULTILINE)


def unframed(text):
    """Without the blank before each line that a table has on a terminal."""
    return "".join(line.removeprefix(" ") for line in text.splitlines(keepends=True))


@pytest.fixture
def folder(tmp_path):
    for name in ("sngan.pt", "sngan-defect.pt"):
        shutil.copy(SAMPLES / name, tmp_path)
    return tmp_path


def test_the_readme_shows_a_check_that_is_true(folder):
    (folder / "normcli.toml").write_text(block("normcli.toml"), encoding="utf-8")
    command = "normcli check sngan.pt sngan-defect.pt"
    assert f"$ {command}\n{unframed(said(command, folder))}```" in README


def test_the_readme_shows_a_baseline_that_is_true(folder):
    write = "normcli baseline write sngan.pt"
    compare = "normcli check sngan.pt --baseline normcli-baseline.json"
    recorded, compared = unframed(said(write, folder)), unframed(said(compare, folder))
    assert f"$ {write}\n{recorded}$ {compare}\n{compared}```" in README


def test_the_picture_shows_a_check_that_is_true():
    command = "normcli check sample_checkpoints/sngan-defect.pt"
    words = "".join(said(f"{command} --no-config", ROOT, columns=88).split())
    lines = ET.parse(PICTURE).iter("{http://www.w3.org/2000/svg}text")
    drawn = "".join("".join("".join(line.itertext()).split()) for line in lines)
    assert drawn == f"normclicheck${''.join(command.split())}{words}"


def test_the_picture_needs_nothing_from_elsewhere():
    assert "url(http" not in PICTURE.read_text(encoding="utf-8")
    assert "docs/check.svg" in README


def test_the_hook_of_the_readme_is_the_one_of_the_manifest():
    (repository,) = yaml.safe_load(block("pre-commit"))["repos"]
    (hook,) = repository["hooks"]
    (known,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["id"] == known["id"]
    assert hook["args"][-1] == known["args"][-1] == "--"


def test_the_step_of_the_readme_has_inputs_that_the_action_knows():
    (step,) = yaml.safe_load(block("action"))
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    assert set(step["with"]) <= set(action["inputs"])
    assert "sarif" in action["outputs"]
