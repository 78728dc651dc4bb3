"""Microsoft's own validator of SARIF, with the rules of the standard and of GitHub."""

import json
import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

PACKAGE = "@microsoft/sarif-multitool@5.7.0"
NPM_SECONDS = 300
GOLDEN = sorted((Path(__file__).parents[1] / "render" / "golden" / "gate").glob("*.sarif"))
# An informationUri is left out: there is no page of the project to name.
ACCEPTED = {"SARIF2005"}


@pytest.fixture(scope="session")
def multitool(cache):
    """The validator, installed once by npm; skips where no registry answers."""
    folder = cache / PACKAGE.replace("/", "-")
    if not (folder / "node_modules").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _install(folder)
    found = list(folder.glob("node_modules/@microsoft/sarif-multitool-*/Sarif.Multitool"))
    if not found:
        pytest.skip("the validator has no program for this platform")
    found[0].chmod(0o755)  # what its install script does, which npm may not run
    return found[0]


def _install(folder):
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), PACKAGE]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=NPM_SECONDS)
    except FileNotFoundError:
        pytest.skip("npm is not installed")
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        lines = (error.stderr or str(error)).strip().splitlines()
        pytest.skip(f"no registry gave {PACKAGE}: {lines[-1] if lines else 'no answer'}")


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_the_official_validator_finds_nothing(multitool, tmp_path, path):
    output = tmp_path / "found.sarif"
    command = [
        str(multitool), "validate", str(path), "--rule-kind", "Sarif;Gh", "--output", str(output),
    ]  # fmt: skip
    environment = {**os.environ, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}
    subprocess.run(command, check=True, capture_output=True, timeout=120, env=environment)
    (run,) = json.loads(output.read_text("utf-8-sig"))["runs"]
    assert run["invocations"][0]["executionSuccessful"]
    found = [each for each in run.get("results", ()) if each.get("level", "warning") != "note"]
    assert {each["ruleId"] for each in found} <= ACCEPTED
