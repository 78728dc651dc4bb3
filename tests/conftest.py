"""The switch that rewrites golden files: `pytest --write-golden`."""


def pytest_addoption(parser):
    parser.addoption("--write-golden", action="store_true", help="rewrite the golden files")
