"""The nouns: frozen values that the rooms hand to each other; no tensors, no input or output.

To add one: a frozen dataclass with slots in the file of its subject, every attribute explained
with its unit, and a line here.
"""

from normcli.records.baseline import BASELINE_NAME, Recorded
from normcli.records.explanation import ExplainedParameter, Explanation
from normcli.records.gate import (
    FAIL_ON,
    SEVERITIES,
    Checked,
    Demand,
    Finding,
    Ignore,
    Ignored,
    Policy,
    Unread,
    Verdict,
)
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
    GATE_METRICS,
    METRIC_NAMES,
    STALE,
    UNKNOWN,
    Measurement,
    Overflow,
    PowerIteration,
    SpectralNorm,
    StateValues,
    plain,
)
from normcli.records.report import Listing, Report, file_record
from normcli.records.rewriting import VERBS, Change, Given, Rewriting, Spelling, Step
from normcli.records.trace import TOLERANCES, Trace, TraceStep

__all__ = [
    "BASELINE_NAME",
    "CERTIFICATES",
    "DEVICES",
    "FAIL_ON",
    "GATE_METRICS",
    "ITEMSIZE",
    "MEASURABLE",
    "METRIC_NAMES",
    "SEVERITIES",
    "STALE",
    "TOLERANCES",
    "UNKNOWN",
    "VERBS",
    "Axis",
    "Change",
    "Checked",
    "Demand",
    "ExplainedParameter",
    "Explanation",
    "Finding",
    "Given",
    "Ignore",
    "Ignored",
    "Initialization",
    "InputFile",
    "LayerInit",
    "Listing",
    "Measurement",
    "Moments",
    "NormState",
    "Opaque",
    "Overflow",
    "Policy",
    "PowerIteration",
    "Recorded",
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
    "Unread",
    "Verdict",
    "Weight",
    "file_record",
    "full_name",
    "other_axes",
    "plain",
]
