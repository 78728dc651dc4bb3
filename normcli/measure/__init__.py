"""Every weight of a checkpoint → a measurement: what is read, decoded and computed for it.

To add a metric: a function of one matrix in `normcli.linalg`, a function of a `Subject` that calls
it in `metrics.py`, a line in `METRICS`, and a field of that name in `normcli.records.Measurement`.
"""

from normcli.measure.metrics import METRICS
from normcli.measure.subject import Options
from normcli.measure.tracing import TraceRequest, traced
from normcli.measure.walk import measure, measure_batch

__all__ = ["METRICS", "Options", "TraceRequest", "measure", "measure_batch", "traced"]
