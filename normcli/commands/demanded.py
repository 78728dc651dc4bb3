"""What a policy needs of one checkpoint, measured: each weight only as far as it is looked at."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from normcli.commands.choice import listed
from normcli.commands.inspect import hashed_files
from normcli.commands.progress import Progress
from normcli.gate.judging import needed, straddling
from normcli.records import MEASURABLE, Measurement, NormState, Report, StateValues
from normcli.stream import background, default_budget, default_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from normcli.formats.base import Checkpoint
    from normcli.measure import Options
    from normcli.records import Axis, Policy, Recorded, Weight

    Observe = Callable[[Measurement, Progress], None]

# Relative widths to which the bracket of a σ₁ is narrowed while it holds a limit.
_NARROWER = (1e-9, 1e-12)


@dataclass(frozen=True, slots=True)
class Demanded:
    """How checkpoints are measured for a gate; as in `normcli.inspect`."""

    policy: Policy
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    dims: Mapping[str, Axis] | None = None
    seed: int = 0
    certificate: str = "probabilistic"
    failure_probability: float = 1e-10
    jobs: int | None = None
    memory: int | None = None
    device: str = "cpu"
    sha256: bool = False

    def report(
        self,
        checkpoint: Checkpoint,
        baseline: Mapping[str, Recorded] | None,
        observe: Observe | None,
    ) -> Report:
        """Every tensor of a checkpoint, measured as far as some demand needs it.

        A bracket of σ₁ that holds a limit is narrowed until it does not, or is as narrow as it
        gets. What no demand looks at is listed as the header tells it.
        """
        weights, skipped, notes = listed(checkpoint, self.include, self.exclude, everything=True)
        needs = needed(self.policy, weights, has_baseline=baseline is not None)
        with background(partial(hashed_files, checkpoint, wanted=self.sha256)) as hashed:
            total = sum(weight.nbytes for weight in weights)
            run = _Run(self, checkpoint, weights, needs, observe, total)
            report = Report(checkpoint.path, checkpoint.format, checkpoint.files, run.measured())
            for rtol in _NARROWER:
                open_ones = straddling(report, self.policy, baseline=baseline)
                if not open_ones:
                    break
                report = replace(report, measurements=run.narrowed(open_ones, rtol))
            files = hashed()
        checkpoint.check_unchanged()
        return replace(
            report, files=files, skipped=skipped, notes=notes, opaque=tuple(checkpoint.opaque)
        )

    def options(self, metrics: frozenset[str]) -> Options:
        """What the measuring is asked for."""
        from normcli.measure import Options

        return Options(
            metrics=metrics,
            dims=self.dims,
            seed=self.seed,
            certificate=self.certificate,
            failure_probability=self.failure_probability,
            device=self.device,
            casts=_casts(self.policy) if "overflow" in metrics else (),
        )


@dataclass(slots=True)
class _Run:
    """One checkpoint while it is measured."""

    how: Demanded
    checkpoint: Checkpoint
    weights: Sequence[Weight]
    needs: Mapping[str, frozenset[str]]
    observe: Observe | None
    total: int
    done: dict[str, Measurement] = field(default_factory=dict)
    nbytes: int = 0

    def measured(self) -> tuple[Measurement, ...]:
        """All weights in order; those with the same needs are measured together."""
        groups: defaultdict[frozenset[str], list[Weight]] = defaultdict(list)
        for weight in self.weights:
            groups[self.needs.get(weight.name, frozenset())].append(weight)
        for metrics, members in groups.items():
            if metrics:
                self._measure(members, self.how.options(metrics))
            else:
                for weight in members:
                    self._keep(weight, _told(weight))
        return self._in_order()

    def narrowed(self, names: Iterable[str], rtol: float) -> tuple[Measurement, ...]:
        """All weights in order, some of them with a narrower bracket."""
        wanted = frozenset(names)
        members = [weight for weight in self.weights if weight.name in wanted]
        groups: defaultdict[frozenset[str], list[Weight]] = defaultdict(list)
        for weight in members:
            groups[self.needs[weight.name]].append(weight)
        for metrics, alike in groups.items():
            self.observe = None  # each was seen
            self._measure(alike, replace(self.how.options(metrics), rtol=rtol))
        return self._in_order()

    def _measure(self, members: Sequence[Weight], options: Options) -> None:
        from normcli.measure import measure

        results = measure(
            self.checkpoint,
            members,
            options,
            jobs=self.how.jobs or default_workers(),
            budget=self.how.memory or default_budget(),
        )
        for weight, measurement in zip(members, results, strict=True):
            if measurement.problem and "nan" in options.metrics and isinstance(weight, NormState):
                self._keep(weight, _with_stored(self.checkpoint, weight, measurement))
            else:
                self._keep(weight, measurement)

    def _keep(self, weight: Weight, measurement: Measurement) -> None:
        self.done[weight.name] = measurement
        self.nbytes += weight.nbytes
        if self.observe is not None:
            state = Progress(len(self.done), len(self.weights), self.nbytes, self.total)
            self.observe(measurement, state)

    def _in_order(self) -> tuple[Measurement, ...]:
        return tuple(self.done[weight.name] for weight in self.weights)


def _with_stored(checkpoint: Checkpoint, state: NormState, measurement: Measurement) -> Measurement:
    """With the NaN and Inf of what is stored, where no effective weight can be told."""
    from normcli import linalg

    parts = [part for part in state.parts.values() if part.dtype in MEASURABLE]
    found = [linalg.census_of_pieces(partial(checkpoint.pieces, part.name)) for part in parts]
    nan, inf = sum(each.nan for each in found), sum(each.inf for each in found)
    return replace(measurement, nan=nan, inf=inf)


def _told(weight: Weight) -> Measurement:
    """What the header alone tells."""
    state, problem = None, weight.problem
    notes = weight.notes if isinstance(weight, NormState) else ()
    if isinstance(weight, NormState):
        axis = weight.axes[0] if len(weight.axes) == 1 else None
        state = StateValues(weight.family, weight.layout, axis)
    return Measurement(
        section=weight.section,
        key=weight.key,
        shape=weight.shape,
        dtype=weight.dtype,
        parameters=weight.parameters,
        state=state,
        problem=problem,
        notes=(problem, *notes) if problem else notes,
    )


def _casts(policy: Policy) -> tuple[str, ...]:
    """The dtypes that some demand wants to cast to."""
    found: dict[str, None] = {}
    for demand in policy.demands:
        if demand.rule == "cast-overflow":
            asked = demand.parameters["dtype"]
            found.update(dict.fromkeys([asked] if isinstance(asked, str) else asked))
    return tuple(found)
