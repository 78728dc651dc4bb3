"""Numbers of one matrix: no names, no files, no norm states.

To add a metric: a function of one matrix in the file of its subject, float64 arithmetic by panels,
an answer for empty, NaN and half-precision matrices, and a line in `normcli.measure.METRICS`.
"""

from normcli.linalg.batch import spectral_norms
from normcli.linalg.cost import spectral_norm_memory
from normcli.linalg.matrix import as_hooked, as_matrix, matrix_shape
from normcli.linalg.norms import (
    Census,
    census,
    census_of_pieces,
    flat_panels,
    vector_norm,
    zero_rows,
)
from normcli.linalg.power import arithmetic_dtype, normalize, power_iteration, power_step, sigma
from normcli.linalg.prediction import predicted_steps, ritz_gap
from normcli.linalg.spectral import check_request, spectral_norm
from normcli.linalg.steps import Steps, power_steps
from normcli.linalg.threads import limit_this_thread, one_torch_thread
from normcli.linalg.values import Beyond, beyond, is_constant

__all__ = [
    "Beyond",
    "Census",
    "Steps",
    "arithmetic_dtype",
    "as_hooked",
    "as_matrix",
    "beyond",
    "census",
    "census_of_pieces",
    "check_request",
    "flat_panels",
    "is_constant",
    "limit_this_thread",
    "matrix_shape",
    "normalize",
    "one_torch_thread",
    "power_iteration",
    "power_step",
    "power_steps",
    "predicted_steps",
    "ritz_gap",
    "sigma",
    "spectral_norm",
    "spectral_norm_memory",
    "spectral_norms",
    "vector_norm",
    "zero_rows",
]
