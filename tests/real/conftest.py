"""Published wheels with trained weights, fetched once by pip into a cache folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PIP_SECONDS = 300


def _cache() -> Path:
    """`$NORMCLI_TEST_CACHE`, or a folder of our own in the user's cache."""
    chosen = os.environ.get("NORMCLI_TEST_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "normcli-tests"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "normcli-tests"


def _download(requirement: str, folder: Path) -> None:
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:",
        "--disable-pip-version-check", "--quiet", "--retries", "1", "--dest", str(folder),
        requirement,
    ]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=PIP_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        lines = (error.stderr or str(error)).strip().splitlines()
        pytest.skip(f"no registry gave {requirement}: {lines[-1] if lines else 'no answer'}")


@pytest.fixture(scope="session")
def cache():
    """The folder that fetched packages are kept in."""
    return _cache()


@pytest.fixture(scope="session")
def unpacked():
    """Requirement → folder of the unpacked wheel; skips where no registry answers."""

    def unpack(requirement: str) -> Path:
        folder = _cache() / requirement.replace("==", "-")
        if not (folder / "unpacked").exists():
            folder.mkdir(parents=True, exist_ok=True)
            _download(requirement, folder)
            (wheel,) = folder.glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder / "unpacked.partial")
            (folder / "unpacked.partial").rename(folder / "unpacked")
        return folder / "unpacked"

    return unpack
