"""Whether the golden files are to be rewritten: `pytest tests/render --write-golden`."""

import pytest


@pytest.fixture
def write_golden(request):
    return request.config.getoption("--write-golden", default=False)
