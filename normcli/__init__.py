"""normcli: know and trust the norms inside a model checkpoint."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from normcli.commands.apply import apply
    from normcli.commands.check import check
    from normcli.commands.convert import convert
    from normcli.commands.explain import explain
    from normcli.commands.initialize import initialize
    from normcli.commands.initialize_checkpoint import initialize_checkpoint
    from normcli.commands.inspect import inspect
    from normcli.commands.ls import ls
    from normcli.commands.refresh import refresh
    from normcli.commands.remove import remove
    from normcli.commands.trace import trace

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "apply",
    "check",
    "convert",
    "explain",
    "initialize",
    "initialize_checkpoint",
    "inspect",
    "ls",
    "refresh",
    "remove",
    "trace",
]


def __getattr__(name: str) -> object:
    """Import a public function when it is first asked for: `import normcli` loads no torch."""
    if name in __all__:
        return getattr(import_module(f"normcli.commands.{name}"), name)
    raise AttributeError(f"module 'normcli' has no attribute {name!r}")
