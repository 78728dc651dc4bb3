"""What a writer does: one step a weight, what changed with it, and the whole of it as a receipt."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from normcli.records.header import full_name
from normcli.records.measurement import plain
from normcli.records.report import file_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normcli.records.header import Axis, InputFile, Shape, Skipped, TensorRef, Weight
    from normcli.records.initialization import LayerInit

VERBS = ("apply", "remove", "convert", "refresh", "initialize")


@dataclass(frozen=True, slots=True)
class Given:
    """A tensor of the output that stands where a tensor of the input stood.

    Attributes:
        ref: Its header line in the output; equal `storage` of two made tensors means that they
            share their bytes.
        place: Name of the input tensor in whose place it stands.
        kept: Name of the input tensor that it is, bit for bit; empty where it is made.
    """

    ref: TensorRef
    place: str
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a weight is stored.

    Attributes:
        family: `spectral`, `weight`, `pruning`; empty for a plain weight; a stack joins them by
            `+` in the order in which they act.
        layout: As in `NormState`; empty for a plain weight.
    """

    family: str = ""
    layout: str = ""

    def __str__(self) -> str:
        return f"{self.family} {self.layout}" if self.family else "plain"


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a rewriting plan: a weight, and the tensors that change places for it.

    Attributes:
        verb: One of `VERBS`.
        weight: As `reparam.weights` lists it in the input.
        before: How it is stored in the input.
        after: How it is stored in the output.
        axis: Row axis; None is one norm over the whole tensor, `auto` is left to the values.
        takes: Tensors of the input that do not stay.
        gives: What stands in their places, in the order of the output.
        change: One phrase that says what becomes of the numbers.
        result: The weight as it is in the output, where its parts are known by now.
    """

    verb: str
    weight: Weight
    before: Spelling
    after: Spelling
    axis: Axis | str
    takes: tuple[TensorRef, ...]
    gives: tuple[Given, ...]
    change: str
    result: Weight | None = None

    @property
    def name(self) -> str:
        """`SECTION/KEY` of the weight."""
        return self.weight.name

    @property
    def shape(self) -> Shape:
        """Of the weight."""
        return self.weight.shape


@dataclass(frozen=True, slots=True)
class Change:
    """What a step did to the numbers of its weight. None is: does not exist, or was not computed.

    Attributes:
        axis: Row axis that was used; None for one norm over the whole tensor, or none at all.
        sigma_before: σ that the layer divided by.
        sigma_after: σ that it divides by now, computed as torch does from what was written.
        spectral_norm: Exact σ₁ of the original.
        largest_change: max |ΔW| of the effective weight, in float64.
        notes: What there is to say about the numbers, worst first.
        layer: What initialization did to the layer of the weight.
    """

    axis: Axis = None
    sigma_before: float | None = None
    sigma_after: float | None = None
    spectral_norm: float | None = None
    largest_change: float | None = None
    notes: tuple[str, ...] = ()
    layer: LayerInit | None = None


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What a writer has done, or with `written` false what it would do.

    Attributes:
        verb: One of `VERBS`.
        path: Input, as the user gave it.
        format: Of the input, as in `Report`.
        files: Of the input; with sha256 where a receipt was asked for.
        output: Path of the output: a file, or a folder of shards.
        output_format: As in `Report`.
        output_files: Of the output, in order, an index last; with `written` false what they
            would be.
        steps: In checkpoint order.
        changes: Name of the weight → what changed; empty where nothing was computed.
        left: Weights that are left as they are, and why.
        dropped: Content of the input that the output does not hold, and why.
        notes: About the output as a whole.
        options: As they were given, by name: for the receipt.
        versions: Of normcli, torch and Python.
        written: Whether the output exists.
        batch: The file that `initialize` ran the model on; None for other verbs.
    """

    verb: str
    path: str
    format: str
    files: tuple[InputFile, ...]
    output: str
    output_format: str
    output_files: tuple[InputFile, ...] = ()
    steps: tuple[Step, ...] = ()
    changes: Mapping[str, Change] = field(default_factory=lambda: MappingProxyType({}))
    left: tuple[Skipped, ...] = ()
    dropped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    versions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    written: bool = False
    batch: InputFile | None = None

    def to_dict(self) -> dict[str, Any]:
        """The receipt without its schema (`normcli.receipt`, version 1)."""
        record: dict[str, Any] = {
            "verb": self.verb,
            "written": self.written,
            "versions": dict(self.versions),
            "options": dict(self.options),
            "input": file_record(self.path, self.format, self.files),
            "output": file_record(self.output, self.output_format, self.output_files),
            **({} if self.batch is None else {"batch": _batch_record(self.batch)}),
            "weights": [_step_record(step, self.changes.get(step.name)) for step in self.steps],
            "left": _reasons(self.left),
            "dropped": _reasons(self.dropped),
            "notes": list(self.notes),
        }
        return record


def _step_record(step: Step, change: Change | None) -> dict[str, Any]:
    record: dict[str, Any] = {
        "name": step.name,
        "shape": list(step.shape),
        "dtype": step.weight.dtype,
        "before": _spelling_record(step.before),
        "after": _spelling_record(step.after),
        "dim": step.axis if change is None else change.axis,
        "change": step.change,
        "old_keys": [ref.name for ref in step.takes],
        "new_keys": [full_name(given.ref.section, given.ref.key) for given in step.gives],
    }
    for name in ("sigma_before", "sigma_after", "spectral_norm", "largest_change"):
        value = getattr(change, name, None)
        if value is not None:
            record[name] = plain(value)
    if change is not None and change.layer is not None:
        record["layer"] = change.layer.to_dict()
    record["notes"] = list(change.notes) if change else []
    return record


def _batch_record(batch: InputFile) -> dict[str, Any]:
    record: dict[str, Any] = {"path": batch.name, "bytes": batch.nbytes}
    return record | ({"sha256": batch.sha256} if batch.sha256 else {})


def _reasons(skipped: tuple[Skipped, ...]) -> list[dict[str, str]]:
    return [{"name": each.name, "reason": each.reason} for each in skipped]


def _spelling_record(spelling: Spelling) -> dict[str, str]:
    return {"family": spelling.family, "layout": spelling.layout} if spelling.family else {}
