"""What the header alone tells: layouts, dtypes, shapes, what is missing and what was not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.formats.optimizers import OPTIMIZER
from normcli.formats.spelling import quoted
from normcli.records import Finding
from normcli.rules.findings import broken, command, untold
from normcli.rules.kinds import names
from normcli.rules.naming import by_name
from normcli.selection import matcher

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from normcli.records import Demand, Measurement, Opaque
    from normcli.rules.base import Case

_NO_NORMS = ("pruning",)  # families that scale nothing
_ANY = -1  # size of an axis that may have any

# How the reasons begin for which a tensor is skipped that is no weight at all.
_EXPECTED = (
    OPTIMIZER, "vector or scalar", "bool:",
    "int64:", "int32:", "int16:", "int8:", "uint64:", "uint32:", "uint16:", "uint8:",
)  # fmt: skip


def layout(case: Case, demand: Demand) -> Iterator[Finding]:
    """Norms are stored in one `layout`; with `plain` no weight is under a norm.

    A pruning mask is no norm. A weight without one is as it was demanded.

    Why:
        A model loads the layout that its code was written for: `weight_g` of the legacy hooks and
        `parametrizations.weight.original0` do not load into each other, and an exported model wants
        plain weights.

    Fix:
        `normcli convert PATH -o OUT --layout legacy` (or `parametrized`) respells every norm;
        `normcli remove PATH` bakes the norms in.
    """
    wanted = demand.parameters["layout"]
    for each in case.selected:
        norms = each.state.stack or (each.state,) if each.state else ()
        acting = [norm for norm in norms if norm.family not in _NO_NORMS]
        other = [norm for norm in acting if norm.layout != wanted]
        if other:
            found = "+".join(f"{norm.family} {norm.layout}" for norm in other)
            message = f"is stored as {found}, expected {wanted}"
            fix = (
                command("remove", each.name)
                if wanted == "plain"
                else command("convert", each.name, f"-o OUT --layout {wanted}")
            )
            yield broken(demand, each.name, message, fix)
        elif acting and each.problem:
            yield untold(demand, each)


def dtype(case: Case, demand: Demand) -> Iterator[Finding]:
    """A tensor has the `dtype`, or one of a list of dtypes.

    Vectors and scalars are looked at as well; tensors of integers are not.

    Why:
        A float32 tensor left in a bfloat16 release doubles its bytes; a float16 one in a float32
        checkpoint was rounded on the way.

    Fix:
        Cast the tensor where the checkpoint is made; name in `weights` which ones are meant where
        only some are.
    """
    wanted = names(demand.parameters["dtype"])
    for each in case.selected:
        if each.dtype not in wanted:
            message = f"is {each.dtype}, expected {' or '.join(wanted)}"
            yield broken(demand, each.name, message, "cast it where the checkpoint is made")


def shape(case: Case, demand: Demand) -> Iterator[Finding]:
    """A tensor has the `shape`, where −1 is any size.

    Why:
        A vocabulary that was padded, a layer of another size of the model, an adapter of another
        rank: they load into nothing else, and that is better known before a release.

    Fix:
        Take the weight from the model that was meant, or mend the shape in the policy.
    """
    wanted = demand.parameters["shape"]
    for each in case.selected:
        if not _fits(each, wanted):
            message = f"has shape {list(each.shape)}, expected {list(wanted)}"
            fix = "take the weight from the model that was meant, or mend the policy"
            yield broken(demand, each.name, message, fix)


def required(case: Case, demand: Demand) -> Iterator[Finding]:
    """Every name or glob of `weights` means something in the checkpoint.

    Why:
        A weight that is missing is initialized at random by whoever loads the checkpoint without
        `strict`, and the model still runs.

    Fix:
        Save the checkpoint again with all of the model, or mend the pattern; `normcli ls --all
        PATH` shows the names that there are.
    """
    fix = "save all of the model, or mend the pattern; normcli ls --all PATH shows the names"
    if not demand.weights:
        yield broken(demand, "", "names no weights, so that nothing is required", fix)
    if demand.optional:
        return
    for pattern in demand.weights:
        one = matcher([pattern])
        if any(map(one, case.report.measurements)):
            continue
        if not any(map(by_name([pattern]), (each.name for each in case.report.skipped))):
            yield broken(demand, "", f"{quoted(pattern)} is required and missing", fix)


def foreign_objects(case: Case, demand: Demand) -> Iterator[Finding]:
    """The file holds tensors and plain data only, no objects of other kinds.

    Why:
        An object in a pickle is code that runs when the file is loaded with
        `torch.load(weights_only=False)`, and an import that has to exist. normcli builds none of
        them and names them all.

    Fix:
        `normcli convert PATH -o OUT.safetensors --drop-opaque` writes the tensors without them;
        better, save `model.state_dict()` and a plain dictionary of settings.
    """
    for each in case.report.opaque:
        message = f"holds {_described(each)}, neither a tensor nor plain data"
        fix = "normcli convert PATH -o OUT.safetensors --drop-opaque"
        yield broken(demand, "", message, fix, value=each.count)


def coverage(case: Case, demand: Demand) -> Iterator[Finding]:
    """A rule can look at every tensor of the checkpoint, and there is at least one.

    Optimizer states, integers and booleans are no weights, and are not counted. A checkpoint
    without any floating tensor is an error, whatever the severity.

    Why:
        What could not be read was not checked. A gate that passes because the tensors are in a
        dtype, a container or a parametrization that it does not know has said nothing.

    Fix:
        Save the tensor as a dense one of a floating dtype, and remove custom parametrizations
        before saving; or ignore the rule with the reason.
    """
    meant = by_name(demand.weights)
    fix = "save it as a dense tensor of a floating dtype, or ignore the rule with the reason"
    if not case.report.measurements:
        message = "holds no tensor that a rule could look at"
        say = "see what is in it with normcli ls --all PATH; has another file been meant?"
        yield Finding(demand.rule, "error", "", message, say)
    for each in case.report.skipped:
        if not each.reason.startswith(_EXPECTED) and meant(each.name):
            message = f"no rule could look at it: {each.reason}"
            yield broken(demand, each.name, message, fix)
    for weight in case.report.measurements:
        if weight.state is not None and weight.state.family == "unknown" and meant(weight.name):
            message = f"no rule could look at its values: {weight.problem or 'an unknown norm'}"
            yield broken(demand, weight.name, message, "remove the norm before saving")


def _fits(measurement: Measurement, wanted: Sequence[int]) -> bool:
    if len(measurement.shape) != len(wanted):
        return False
    sizes = zip(measurement.shape, wanted, strict=True)
    return all(want in (_ANY, size) for size, want in sizes)


def _described(opaque: Opaque) -> str:
    """`os.system (1, at hyper_parameters.args)`."""
    place = f", at {quoted(opaque.place)}" if opaque.place else ""
    return f"{quoted(opaque.what)} ({opaque.count}{place})"
