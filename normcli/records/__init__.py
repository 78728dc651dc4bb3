"""The nouns: frozen values that the rooms hand to each other; no tensors, no input or output.

To add one: a frozen dataclass with slots in the file of its subject, every attribute explained
with its unit, and a line here.
"""

from normcli.records.header import (
    ITEMSIZE,
    MEASURABLE,
    Axis,
    InputFile,
    NormState,
    Opaque,
    Shape,
    Skipped,
    TensorRef,
    Weight,
    full_name,
    other_axes,
)
from normcli.records.initialization import Initialization, LayerInit, Moments, Spread
from normcli.records.measurement import (
    CERTIFICATES,
    DEVICES,
    METRIC_NAMES,
    STALE,
    Measurement,
    PowerIteration,
    SpectralNorm,
    StateValues,
    plain,
)
from normcli.records.report import Listing, Report, file_record
from normcli.records.rewriting import VERBS, Change, Given, Rewriting, Spelling, Step
from normcli.records.trace import TOLERANCES, Trace, TraceStep

__all__ = [
    "CERTIFICATES",
    "DEVICES",
    "ITEMSIZE",
    "MEASURABLE",
    "METRIC_NAMES",
    "STALE",
    "TOLERANCES",
    "VERBS",
    "Axis",
    "Change",
    "Given",
    "Initialization",
    "InputFile",
    "LayerInit",
    "Listing",
    "Measurement",
    "Moments",
    "NormState",
    "Opaque",
    "PowerIteration",
    "Report",
    "Rewriting",
    "Shape",
    "Skipped",
    "SpectralNorm",
    "Spelling",
    "Spread",
    "StateValues",
    "Step",
    "TensorRef",
    "Trace",
    "TraceStep",
    "Weight",
    "file_record",
    "full_name",
    "other_axes",
    "plain",
]
