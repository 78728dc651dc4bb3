"""Shared fixtures of the readers' tests."""

from __future__ import annotations

import pytest

from normcli.errors import CheckpointError
from normcli.formats import open_checkpoint


@pytest.fixture
def opened(tmp_path):
    """Write bytes to a file and open it; every file is closed at the end."""
    checkpoints = []

    def write_and_open(content, name="model.pt", **options):
        path = tmp_path / name
        path.write_bytes(content)
        checkpoints.append(open_checkpoint(path, **options))
        return checkpoints[-1]

    yield write_and_open
    for checkpoint in checkpoints:
        checkpoint.close()


@pytest.fixture
def assert_refused(tmp_path):
    """Write bytes to a file and demand that opening it says `fragment`, and the file's path."""

    def check(content, fragment, *, name="model.pt", kind=CheckpointError, hint="", **options):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(kind) as caught:
            open_checkpoint(path, **options)
        assert fragment in caught.value.message
        assert hint in caught.value.hint
        assert caught.value.where == str(path)
        assert "\n" not in str(caught.value)

    return check
