"""Short weights together: what each would compute alone, bit for bit, in a fraction of the calls.

Most of the time of a 4 × 4 weight is Python's and torch's way to an operation, not the operation.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

import torch

from normcli import linalg
from normcli.measure.exact import exact_of_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Size, Tensor

    from normcli.measure.subject import Subject
    from normcli.records import Axis

_REAL = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
_ALIGNED = 64  # bytes; a row that begins there is summed and multiplied as a tensor of its own is
_SMALLEST, _LARGEST = 1e-200, 1e200  # a sum of squares between them is neither over- nor underflown
_EPS = 1e-12  # of `linalg.normalize`


def compute_together(subjects: Sequence[Subject]) -> None:
    """Give the subjects the numbers that can be computed of several at once.

    Args:
        subjects: With the same options; every other number they compute when it is asked for.
    """
    metrics = subjects[0].options.metrics
    if not metrics.isdisjoint({"spectral_norm", "stable_rank"}):
        _find_spectral_norms(subjects)
    for group in _alike(subjects):
        if group[0].weight.dtype in _REAL and group[0].weight.numel():
            if not metrics.isdisjoint({"frobenius", "nan", "inf", "stable_rank"}):
                _take_censuses(group)
            if "zero_rows" in metrics:
                _count_zero_rows(group)
            if "power_iteration" in metrics:
                _iterate([subject for subject in group if subject.vectors is None])


def _alike(subjects: Sequence[Subject]) -> Iterable[list[Subject]]:
    """The subjects, those with one shape, row axis and dtype together."""
    groups: dict[tuple[torch.dtype, Size, Axis], list[Subject]] = defaultdict(list)
    for subject in subjects:
        weight = subject.weight
        groups[weight.dtype, weight.shape, subject.axis].append(subject)
    return groups.values()


def _find_spectral_norms(subjects: Sequence[Subject]) -> None:
    found = exact_of_all([subject.matrix for subject in subjects], subjects[0].options)
    for subject, norm in zip(subjects, found, strict=True):
        subject.spectral_norm = norm


def _take_censuses(group: Sequence[Subject]) -> None:
    """‖W‖_F of those whose sum of squares says that all is finite."""
    weights = [subject.weight for subject in group]
    if not all(weight.is_contiguous() for weight in weights):
        return  # alone each is summed in the order of its memory
    rows = _rows(len(weights), weights[0].numel(), torch.float64)
    rows.copy_(torch.stack(weights).reshape(len(rows), -1))
    for subject, row in zip(group, rows.unbind(), strict=True):
        squares = float(torch.dot(row, row))
        if _SMALLEST < squares < _LARGEST:
            subject.census = linalg.Census(math.sqrt(squares), 0, 0)


def _count_zero_rows(group: Sequence[Subject]) -> None:
    stack = torch.stack([subject.matrix for subject in group])
    counts = (stack != 0).any(dim=2).logical_not_().sum(dim=1).tolist()
    for subject, count in zip(group, counts, strict=True):
        subject.zero_rows = count


def _iterate(group: Sequence[Subject]) -> None:
    if group:
        matrices = [subject.matrix for subject in group]
        steps, seed = group[0].iterations, group[0].options.seed
        sigmas = power_iterations(matrices, iterations=steps, seed=seed)
        for subject, sigma in zip(group, sigmas, strict=True):
            subject.power_sigma = sigma


def power_iterations(matrices: Sequence[Tensor], *, iterations: int, seed: int) -> list[float]:
    """What `linalg.power_iteration` gives for each matrix alone, bit for bit.

    Each product is torch's own of one matrix and one vector, as in a layer: a batched product sums
    in another order. Only the norms are taken of all vectors at once.

    Args:
        matrices: Of one shape and one dtype.
        iterations: Steps from the random start.
        seed: Of the random start, which is the same for all.
    """
    dtype = linalg.arithmetic_dtype(matrices[0])
    matrices = [matrix.to(dtype) for matrix in matrices]
    turned = [matrix.mH for matrix in matrices]
    start = linalg.power_steps(matrices[0], iterations=0, seed=seed).start
    u, v = (_rows(len(matrices), len(vector), dtype).copy_(vector) for vector in start)
    lefts, rights = u.unbind(), v.unbind()
    for _ in range(iterations):
        _multiply(matrices, rights, lefts)
        _normalize(u)
        _multiply(turned, lefts, rights)
        _normalize(v)
    return [
        float(linalg.sigma(matrix, left, right, legacy=False).real)
        for matrix, left, right in zip(matrices, lefts, rights, strict=True)
    ]


def _multiply(
    matrices: Sequence[Tensor], vectors: Sequence[Tensor], images: Sequence[Tensor]
) -> None:
    product = torch.mv
    for matrix, vector, image in zip(matrices, vectors, images, strict=True):
        product(matrix, vector, out=image)


def _normalize(vectors: Tensor) -> None:
    """Every row as `linalg.normalize` leaves it."""
    vectors.div_(torch.linalg.vector_norm(vectors, dim=1, keepdim=True).clamp_min_(_EPS))


def _rows(count: int, length: int, dtype: torch.dtype) -> Tensor:
    """An uninitialized (count, length) tensor whose every row is aligned as a tensor is."""
    width = _ALIGNED // dtype.itemsize
    return torch.empty(count, -(-length // width) * width, dtype=dtype)[:, :length]
