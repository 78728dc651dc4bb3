"""Both ways to write a file."""

import os

import pytest


@pytest.fixture(params=["nameless", "hidden"])
def way(request, monkeypatch):
    """Both ways to write: a file without a name, and a hidden one."""
    if request.param == "hidden":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    return request.param
