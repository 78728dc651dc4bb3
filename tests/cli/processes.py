"""The program as a user runs it: a process of its own."""

import os
import subprocess
import sys

COMMAND = [sys.executable, "-m", "normcli"]
_OWN = ("NORMCLI_", "GITHUB_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "PYTHONIOENCODING", "LC_")


def environment(**more):
    """The environment without anything that changes what normcli says, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
    return {**kept, **more}


def run(*arguments, cwd=None, **more):
    """Run a command line to its end; `more` goes into its environment."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        env=environment(**more),
        check=False,
    )


def start(*arguments, **more):
    """Start a command line whose output is read, or not, by the test."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**more),
    )
