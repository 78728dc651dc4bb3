"""The switch that rewrites the golden files: `pytest tests/render --write-golden`."""

import pytest


def pytest_addoption(parser):
    parser.addoption("--write-golden", action="store_true", help="rewrite tests/render/golden")


@pytest.fixture
def write_golden(request):
    return request.config.getoption("--write-golden", default=False)
