"""Checkpoints out: a `Draft` says what differs from the input, a `Blueprint` is the output.

To add a format: a function `(Checkpoint, Draft) -> Blueprint` and a line in `WRITERS`
(`writing.py`); the proof is the format's own library reading what was written.
"""
