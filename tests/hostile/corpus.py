"""The whole corpus of inputs, in the order of its table."""

from __future__ import annotations

import corpus_containers
import corpus_legacy
import corpus_objects
import corpus_pickles
import corpus_safetensors
import corpus_shards
import corpus_tensors

CASES = (
    *corpus_containers.CASES,
    *corpus_pickles.CASES,
    *corpus_objects.CASES,
    *corpus_tensors.CASES,
    *corpus_legacy.CASES,
    *corpus_safetensors.CASES,
    *corpus_shards.CASES,
)
