"""One weight while it is measured: what was read of it, and each number once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from normcli import linalg
from normcli.measure.exact import exact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torch import Tensor

    from normcli.formats.base import Checkpoint
    from normcli.records import Axis, SpectralNorm, Weight
    from normcli.reparam import Decoded

_TORCH_INIT_STEPS = 15  # steps that torch's parametrized spectral norm starts with

# Metrics that need the entries once, in any order: no memory for the whole tensor.
ONE_PASS = frozenset({"frobenius", "nan", "inf", "constant", "overflow"})


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, and how.

    Attributes:
        metrics: Keys of `METRICS`.
        power_iterations: Steps; None is 1 from a stored u and 15 from a random start.
        seed: Of every random start.
        dims: Glob → row axis, first match wins.
        rtol: Relative width of the bracket that holds σ₁.
        certificate: How its upper end is vouched for, one of `CERTIFICATES`.
        failure_probability: That a probabilistic bracket does not hold, for each weight.
        device: Where spectral norms are computed, one of `DEVICES`.
        casts: Dtypes that `overflow` is about.
    """

    metrics: frozenset[str]
    power_iterations: int | None = None
    seed: int = 0
    dims: Mapping[str, Axis] | None = None
    rtol: float = 1e-6
    certificate: str = "probabilistic"
    failure_probability: float = 1e-10
    device: str = "cpu"
    casts: tuple[str, ...] = ()

    @property
    def one_pass(self) -> bool:
        """Whether a plain weight can be measured piece by piece."""
        return self.metrics <= ONE_PASS


_Value = TypeVar("_Value")


class once(Generic[_Value]):  # noqa: N801  reads as the decorator that it is
    """A property that is computed when it is first asked for.

    `functools.cached_property` before Python 3.12 takes one lock for all instances of a class: the
    weights would be measured one after the other.
    """

    def __init__(self, compute: Callable[[Any], _Value]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    def __get__(self, instance: Any, _owner: type) -> _Value:  # noqa: ANN401  any class has one
        value = instance.__dict__[self._name] = self._compute(instance)
        return value


class Subject:
    """A weight with its row axis settled; a number is computed when it is first asked for.

    Who has computed it together with others may also assign it.

    Attributes:
        record: What the header tells of it.
        axis: Rows of the matrix.
        decoded: Its norm state; None for a plain weight.
        options: What is wanted.
        notes: What there is to say before anything was measured.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        record: Weight,
        axis: Axis,
        decoded: Decoded | None,
        options: Options,
        *,
        notes: Sequence[str],
    ) -> None:
        self._checkpoint = checkpoint
        self.record = record
        self.axis = axis
        self.decoded = decoded
        self.options = options
        self.notes = notes

    @once
    def weight(self) -> Tensor:
        """The effective weight."""
        if self.decoded is None:
            return self._checkpoint.read(self.record.name)
        return self.decoded.weight

    @once
    def matrix(self) -> Tensor:
        """The effective weight with its row axis first."""
        return linalg.as_matrix(self.weight, self.axis)

    @once
    def census(self) -> linalg.Census:
        """One pass: ‖W‖_F, NaN, Inf; from the file where nothing else needs the tensor."""
        return linalg.census_of_pieces(self.pieces)

    def pieces(self) -> Iterable[Tensor]:
        """All entries in 1-D tensors; from the file where nothing else needs the tensor."""
        if self.decoded is None and self.options.one_pass:
            return self._checkpoint.pieces(self.record.name)
        return linalg.flat_panels(self.weight)

    @property
    def in_order(self) -> bool:
        """Whether `pieces` gives the entries in the order of the shape."""
        if self.decoded is None and self.options.one_pass:
            return self._checkpoint.is_contiguous(self.record.name)
        return self.weight.is_contiguous()

    @once
    def zero_rows(self) -> int:
        """Rows of the matrix that are all zero."""
        return linalg.zero_rows(self.matrix)

    @once
    def spectral_norm(self) -> SpectralNorm:
        """Exact σ₁ of the matrix."""
        return exact(self.matrix, self.options)

    @property
    def vectors(self) -> tuple[Tensor, Tensor] | None:
        """The stored u and v; None where a power iteration starts at random."""
        return self.decoded.vectors if self.decoded else None

    @property
    def iterations(self) -> int:
        """Steps of the power iteration."""
        if self.options.power_iterations is None:
            return _TORCH_INIT_STEPS if self.vectors is None else 1
        return self.options.power_iterations

    @once
    def power_sigma(self) -> float:
        """σ̂ of the power iteration, in the update order of the layout."""
        layout = self.decoded.values.layout if self.decoded else "parametrized"
        return linalg.power_iteration(
            self.matrix,
            iterations=self.iterations,
            start=self.vectors,
            legacy=self.vectors is not None and layout != "parametrized",
            seed=self.options.seed,
        )
