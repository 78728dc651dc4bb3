"""normcli: know and trust the norms inside a model checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from normcli.commands.inspect import inspect
    from normcli.commands.ls import ls
    from normcli.commands.trace import trace

__version__ = "0.1.0"
__all__ = ["__version__", "inspect", "ls", "trace"]


def __getattr__(name: str) -> object:
    """Import a public function when it is first asked for: `import normcli` loads no torch."""
    if name == "inspect":
        from normcli.commands.inspect import inspect

        return inspect
    if name == "ls":
        from normcli.commands.ls import ls

        return ls
    if name == "trace":
        from normcli.commands.trace import trace

        return trace
    raise AttributeError(f"module 'normcli' has no attribute {name!r}")
