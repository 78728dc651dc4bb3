"""Bytes on disk to named tensors: what kind a file is, its header, its tensors one by one.

To add a format: a module with a function `(Source, Budgets) -> Header` that reads the header
without torch and checks every number in it; a line in `READERS`; how its first bytes look in
`sniff.py`; and a subclass of `ReaderTests`, with files that were written without normcli.
"""

from normcli.formats.base import Checkpoint
from normcli.formats.opening import READERS, open_checkpoint

__all__ = ["READERS", "Checkpoint", "open_checkpoint"]
