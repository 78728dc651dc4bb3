"""Checkpoints out: a `Draft` says what differs from the input, a `Blueprint` is the output.

To add a format: a function `(Checkpoint, Draft) -> Blueprint` and a line in `WRITERS`
(`writing.py`); the proof is the format's own library reading what was written.
"""

from normcli.formats.writers.draft import Blueprint, Draft, FileBlueprint
from normcli.formats.writers.verifying import verify
from normcli.formats.writers.writing import WRITERS, blueprint

__all__ = ["WRITERS", "Blueprint", "Draft", "FileBlueprint", "blueprint", "verify"]
