"""One weight while it is measured: what was read of it, and each number once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from normcli import linalg
from normcli.measure.exact import exact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from normcli.formats.base import Checkpoint
    from normcli.records import Axis, SpectralNorm
    from normcli.reparam import Decoded

# Metrics that need the entries once, in any order: no memory for the whole tensor.
ONE_PASS = frozenset({"frobenius", "nan", "inf"})


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
    """

    metrics: frozenset[str]
    power_iterations: int | None = None
    seed: int = 0
    dims: Mapping[str, Axis] | None = None
    rtol: float = 1e-6
    certificate: str = "probabilistic"
    failure_probability: float = 1e-10
    device: str = "cpu"

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

    Attributes:
        axis: Rows of the matrix.
        decoded: Its norm state; None for a plain weight.
        options: What is wanted.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        name: str,
        axis: Axis,
        decoded: Decoded | None,
        options: Options,
    ) -> None:
        self._checkpoint = checkpoint
        self._name = name
        self.axis = axis
        self.decoded = decoded
        self.options = options

    @once
    def weight(self) -> Tensor:
        """The effective weight."""
        return self._checkpoint.read(self._name) if self.decoded is None else self.decoded.weight

    @once
    def matrix(self) -> Tensor:
        """The effective weight with its row axis first."""
        return linalg.as_matrix(self.weight, self.axis)

    @once
    def census(self) -> linalg.Census:
        """One pass: ‖W‖_F, NaN, Inf; from the file where nothing else needs the tensor."""
        if self.decoded is None and self.options.one_pass:
            return linalg.census_of_pieces(lambda: self._checkpoint.pieces(self._name))
        return linalg.census(self.weight)

    @once
    def spectral_norm(self) -> SpectralNorm:
        """Exact σ₁ of the matrix."""
        return exact(self.matrix, self.options)
