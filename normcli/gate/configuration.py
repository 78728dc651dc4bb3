"""The file in which a repository configures normcli: where it is, and what it says."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from normcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NAME, SHARED = "normcli.toml", "pyproject.toml"
TABLE = ("tool", "normcli")  # of the shared file

# Its keys: those of the policy, and those that are defaults of options (read by the command line).
POLICY_KEYS = ("schema", "fail-on", "demand", "ignore")
OPTION_KEYS = (
    "include", "exclude", "all", "metrics", "power-iterations", "seed", "rtol", "certificate",
    "failure-probability", "dim", "jobs", "memory", "device", "color", "progress",
)  # fmt: skip


def files(folder: Path) -> Iterator[Path]:
    """The files that may have a say, the nearest first, up to the root of the repository.

    Outside of a repository only the folder itself is looked at.
    """
    for each in _upwards(folder):
        for name in (NAME, SHARED):
            if (each / name).is_file():
                yield each / name


def find(folder: Path) -> Path | None:
    """The nearest file that has a say."""
    for path in files(folder):
        if path.name == NAME or _table(parsed(read(path), path)) is not None:
            return path
    return None


def load(path: Path) -> Mapping[str, Any]:
    """The keys of a file: of `[tool.normcli]` in a pyproject.toml, at the top of every other."""
    return keys(parsed(read(path), path), path)


def keys(data: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """Of what a file holds, the part that is for normcli."""
    return (_table(data) or {}) if path.name == SHARED else data


def read(path: Path) -> str:
    """The text of a file.

    Raises:
        UsageError: It cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise UsageError(error.strerror or "cannot be read", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise _not_toml(error, path) from error


def parsed(text: str, path: Path) -> dict[str, Any]:
    """What a text says.

    Raises:
        UsageError: It is not TOML; the sentence has the line.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_toml(error, path) from error


def _not_toml(error: Exception, path: Path) -> UsageError:
    return UsageError(f"is not TOML: {error}", where=str(path))


def _upwards(folder: Path) -> Iterator[Path]:
    folders = [folder, *folder.parents]
    roots = (n for n, each in enumerate(folders) if (each / ".git").exists())
    yield from folders[: next(roots, 0) + 1]


def _table(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    table: Any = data
    for name in TABLE:
        table = table.get(name) if isinstance(table, dict) else None
    return table if isinstance(table, dict) else None
