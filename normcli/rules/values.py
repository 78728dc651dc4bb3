"""What the entries of a tensor say: NaN, zeros, values that a dtype cannot hold, odd ones out."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING

from normcli.formats.spelling import quoted
from normcli.rules.findings import broken, command, missing, unfit
from normcli.rules.kinds import LARGEST, names
from normcli.rules.numbers import apart, brief, entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from normcli.records import Demand, Finding, Measurement, Overflow
    from normcli.rules.base import Case

_FEWEST = 5  # weights of a family whose median and spread say something
_NORMAL = 0.6745  # MAD/σ of a normal distribution: the robust z is in its standard deviations
_NUMBER = re.compile(r"(?<![^./])(?:\d+|\[\d+\])(?![^./])")
_EARLIER = "go back to the last checkpoint without them; normcli inspect shows where they began"
_UNUSED = "prune the units, or ignore the rule for this weight with the reason"


def finite(case: Case, demand: Demand) -> Iterator[Finding]:
    """No tensor holds a NaN or an infinity.

    Vectors and scalars are looked at as well. Numbers are those of the effective weight.

    Why:
        One NaN makes every output NaN. A run that overflowed in half precision, a corrupted copy or
        a division by a zero norm leaves them in a checkpoint that loads without an error.

    Fix:
        Go back to the last finite checkpoint (`normcli inspect --all --columns name,nan,inf PATH`),
        and look at the learning rate, the loss scale and the gradient clipping of the run.
    """
    for each in case.selected:
        if each.nan is None or each.inf is None:
            yield missing(demand, each, "the number of NaN and infinite entries")
        elif each.nan or each.inf:
            yield broken(demand, each.name, _nonfinite(each), _EARLIER, value=each.nan + each.inf)


def nonzero(case: Case, demand: Demand) -> Iterator[Finding]:
    """No weight is all zero, and none has one value everywhere.

    An empty weight is neither; nor is one with a single entry constant.

    Why:
        Such a weight was never initialized, never loaded, or was lost in a merge: every unit of the
        layer computes the same, and gets the same gradient for good.

    Fix:
        Load the weight again from where it came. A projection that is to start as zero (an adapter,
        the last layer of a residual branch) can be ignored with that reason.
    """
    for each in case.selected:
        if each.frobenius is None or each.constant is None:
            yield missing(demand, each, "whether it is constant")
        elif each.parameters and each.frobenius == 0:
            message = f"all {each.parameters} entries are zero"
            yield broken(demand, each.name, message, _load_again(), value=0.0)
        elif each.parameters > 1 and each.constant:
            message = f"all {each.parameters} entries are one value"
            yield broken(demand, each.name, message, _load_again())


def zero_rows(case: Case, demand: Demand) -> Iterator[Finding]:
    """No row of a weight, the weights of one unit, is all zero.

    The row axis is that of the spectral norm over the weight, else axis 0.

    Why:
        A unit whose weights are all zero gives the same for every input: it died, or it was pruned
        and still takes memory and time. Under a weight norm a zero row of v makes NaN.

    Fix:
        Take the units out of the model. Rows that are zero by construction (the padding row of an
        embedding) can be ignored with that reason.
    """
    for each in case.selected:
        if each.zero_rows is None:
            yield missing(demand, each, "the number of zero rows")
        elif each.zero_rows:
            rows = f" of {each.matrix_shape[0]}" if each.matrix_shape else ""
            message = f"{each.zero_rows}{rows} rows are all zero"
            yield broken(demand, each.name, message, _UNUSED, value=each.zero_rows)


def cast_overflow(case: Case, demand: Demand) -> Iterator[Finding]:
    """Every entry of a tensor fits `dtype`, or each of a list of dtypes.

    An entry fits where it rounds to a finite number. NaN and infinities never fit.

    Why:
        A cast to half precision or float8 turns what is too large into an infinity or, in a float8
        without one, into NaN or the largest number, without an error.

    Fix:
        Keep the weight in a wider dtype, bfloat16 instead of float16, or store it with a scale;
        `normcli apply PATH --spectral --layout plain --clip LIMIT` makes it smaller.
    """
    for each in case.selected:
        if each.nan or each.inf:
            yield broken(demand, each.name, _nonfinite(each), _EARLIER)
        found = {overflow.dtype: overflow for overflow in each.overflow or ()}
        for dtype in names(demand.parameters["dtype"]):
            if dtype not in found:
                yield missing(demand, each, f"whether it fits {dtype}")
            elif found[dtype].count:
                yield _too_large(demand, each, found[dtype])


def outlier(case: Case, demand: Demand) -> Iterator[Finding]:
    """No weight has a σ₁ far from those of its family, `layers.*.q_proj.weight`.

    A family is the weights whose names differ in numbers only. The robust z of log σ₁,
    0.6745·|x − median|/MAD, is at most `limit`. Fewer than five weights, or a family of which half
    have one σ₁, have no spread to compare with. A weight that is zero is infinitely far away.

    Why:
        Layers of one kind have norms of one size. One that stands apart diverged, was merged with
        the wrong scale, or comes from another model.

    Fix:
        Compare the weight with its neighbours in `normcli inspect PATH --include FAMILY` and with
        an earlier checkpoint; take it from there.
    """
    families: dict[str, list[Measurement]] = defaultdict(list)
    for each in case.selected:
        trouble = unfit(demand, each, "spectral_norm")
        if trouble is not None:
            yield trouble
        else:
            families[family(each.name)].append(each)
    for name, members in families.items():
        yield from _odd_ones(demand, name, members)


def family(name: str) -> str:
    """The name with `*` for every component that is an integer: what layers of one kind share."""
    return _NUMBER.sub("*", name)


def _odd_ones(demand: Demand, name: str, members: Sequence[Measurement]) -> Iterator[Finding]:
    limit = demand.parameters["limit"]
    sizes = [math.log(sigma) for sigma in map(_sigma, members) if sigma > 0]
    if len(sizes) < _FEWEST:
        return
    middle = median(sizes)
    spread = median(abs(size - middle) for size in sizes)
    if not spread:
        return
    for each in members:
        sigma = _sigma(each)
        distance = abs(math.log(sigma) - middle) if sigma > 0 else math.inf
        z = _NORMAL * distance / spread
        if z > limit:
            told, found = apart(limit, z)
            message = (
                f"σ₁ is {brief(sigma)}, the median of {len(members)} weights {quoted(name)} "
                f"{brief(math.exp(middle))}: a robust z of {found}, above the limit {told}"
            )
            fix = command("inspect", name) + "; take the weight from an earlier checkpoint"
            yield broken(demand, each.name, message, fix, value=z, limit=limit)


def _sigma(measurement: Measurement) -> float:
    return measurement.spectral_norm.value if measurement.spectral_norm else math.nan


def _nonfinite(measurement: Measurement) -> str:
    """`3 of 144 entries are NaN, 1 infinite`."""
    nan, inf, total = measurement.nan or 0, measurement.inf or 0, measurement.parameters
    if not nan:
        return f"{entries(inf, total)} are infinite"
    return f"{entries(nan, total)} are NaN" + (f", {inf} infinite" if inf else "")


def _load_again() -> str:
    return "load the weight again from where it came, or ignore the rule for it with the reason"


def _too_large(demand: Demand, measurement: Measurement, found: Overflow) -> Finding:
    limit = LARGEST[found.dtype]
    told, largest = apart(limit, found.largest)
    where = "" if found.first is None else f", the first at {list(found.first)}"
    values = "1 value does" if found.count == 1 else f"{found.count} values do"
    return broken(
        demand,
        measurement.name,
        f"{values} not fit {found.dtype} (largest {largest}, limit {told}){where}",
        "keep the weight in a wider dtype, or store it with a scale",
        value=found.largest,
        limit=limit,
    )
