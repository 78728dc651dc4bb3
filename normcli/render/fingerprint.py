"""What a finding is recognized by from one run to the next, whatever was measured."""

from __future__ import annotations

import hashlib
from collections import Counter


class Fingerprints:
    """Hashes of what stays the same; the second finding of one kind is told from the first."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, ...]] = Counter()

    def of(self, *parts: str, within: str = "") -> tuple[str, int]:
        """(64 hexadecimal digits of the parts, how often they came within this file so far)."""
        key = (within, *parts)
        self._seen[key] += 1
        text = "\0".join(parts).encode("utf-8", "surrogatepass")
        return hashlib.sha256(text).hexdigest(), self._seen[key]
