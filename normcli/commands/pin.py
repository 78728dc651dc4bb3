"""The one input that is admitted where its hash is pinned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from normcli.formats.base import Checkpoint


def expect(checkpoint: Checkpoint, wanted: str) -> None:
    """Refuse every other input before anything of it is measured.

    Raises:
        RefusedError: Its sha256 is another one.
        UsageError: It has several files.
    """
    if len(checkpoint.files) != 1:
        count = len(checkpoint.files)
        raise UsageError(f"pins one file, '{checkpoint.path}' has {count}", where="--expect-sha256")
    found = checkpoint.digest(checkpoint.files[0]).sha256
    if found != wanted.strip().lower():
        raise RefusedError(
            f"sha256 is {found}, expected {wanted}",
            where=checkpoint.path,
            hint="this is not the file that was pinned with --expect-sha256",
        )
