"""Limits on norms: the end of a bracket counts on which the demand is surely kept."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from normcli.rules.findings import above, below, broken, command, unfit
from normcli.rules.numbers import apart

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from normcli.records import Demand, Finding, Measurement
    from normcli.rules.base import Case

_COLLAPSED = "go back to a checkpoint from before it fell, or lower the limit for this weight"
_NOTHING = (-math.inf, 0.0)  # the product that is 0, below all others


def spectral_limit(case: Case, demand: Demand) -> Iterator[Finding]:
    """The spectral norm σ₁ of the effective weight is at most `limit`.

    The upper end of the bracket counts: a weight passes only if its σ₁ is known to be within the
    limit. A bracket that holds the limit is narrowed before that is said.

    Why:
        σ₁ is the most by which a layer can stretch its input. A discriminator that is to be
        1-Lipschitz, a contraction, a certified bound: all of them rest on it. Under a spectral norm
        it is 1 only as long as u and v belong to the weight.

    Fix:
        `normcli refresh PATH` where the weight is under a spectral norm whose u and v are stale;
        `normcli apply PATH --spectral --layout plain --clip LIMIT` scales a plain weight down.
    """
    limit = demand.parameters["limit"]
    for each in case.selected:
        trouble = unfit(demand, each, "spectral_norm")
        if trouble is not None:
            yield trouble
        elif each.spectral_norm is not None and not each.spectral_norm.upper <= limit:
            yield above(demand, each.name, "σ₁", _bracket(each), _smaller(each, limit))


def spectral_floor(case: Case, demand: Demand) -> Iterator[Finding]:
    """The spectral norm σ₁ of the effective weight is at least `limit`.

    The lower end of the bracket counts.

    Why:
        A layer whose σ₁ has fallen far below that of its neighbours passes nothing on: it died, was
        decayed to nothing, or was never loaded.

    Fix:
        Compare with an earlier checkpoint (`normcli inspect A B`) and go on from one in which the
        weight is alive; or lower the limit for it.
    """
    limit = demand.parameters["limit"]
    for each in case.selected:
        trouble = unfit(demand, each, "spectral_norm")
        if trouble is not None:
            yield trouble
        elif each.spectral_norm is not None and not each.spectral_norm.lower >= limit:
            yield below(demand, each.name, "σ₁", _bracket(each), _COLLAPSED)


def frobenius_limit(case: Case, demand: Demand) -> Iterator[Finding]:
    """The Frobenius norm ‖W‖_F of the effective weight is at most `limit`.

    Why:
        ‖W‖_F grows with every step that a weight is not decayed by. It is what an L2 penalty
        bounds, and it is never below σ₁.

    Fix:
        Train with more weight decay, or from an earlier checkpoint; `normcli apply PATH --weight`
        keeps the length of the rows apart from their direction.
    """
    limit = demand.parameters["limit"]
    for each in case.selected:
        trouble = unfit(demand, each, "frobenius")
        if trouble is not None:
            yield trouble
        elif each.frobenius is not None and each.frobenius > limit:
            told, found = apart(limit, each.frobenius)
            yield broken(
                demand,
                each.name,
                f"‖W‖_F is {found}, above the limit {told}",
                "train with more weight decay, or from an earlier checkpoint",
                value=each.frobenius,
                limit=limit,
            )


def stable_rank_floor(case: Case, demand: Demand) -> Iterator[Finding]:
    """The stable rank ‖W‖_F²/σ₁² of the effective weight is at least `limit`.

    The lower end of its bracket, (‖W‖_F/upper)², counts. That of a weight that is zero or empty is
    0, of all others it is 1 or more.

    Why:
        A stable rank near 1 says that one direction dominates: the layer has collapsed to a
        rank-one map, as weights do under a learning rate that is too large.

    Fix:
        Go back to a checkpoint from before the collapse; a smaller learning rate or a spectral norm
        (`normcli apply PATH --spectral`) keeps one direction from running away.
    """
    limit = demand.parameters["limit"]
    for each in case.selected:
        trouble = unfit(demand, each, "frobenius", "spectral_norm")
        if trouble is not None:
            yield trouble
            continue
        bracket = _stable_rank(each)
        if not bracket[0] >= limit:
            yield below(demand, each.name, "the stable rank", bracket, _COLLAPSED)


def lipschitz_limit(case: Case, demand: Demand) -> Iterator[Finding]:
    """The product of the spectral norms of all weights meant is at most `limit`.

    The product of the upper ends counts. It is an upper bound of the Lipschitz constant of a plain
    chain of these layers with 1-Lipschitz activations; branches that are added need another sum.

    Why:
        How far an output can move when an input does, at most, is bounded by it: certified
        robustness, invertible residual layers and critics of Wasserstein distances rest on that.

    Fix:
        `normcli apply PATH --spectral --layout plain --clip LIMIT` on the weights with the largest
        σ₁, or name the weights of one chain in `weights`.
    """
    troubled = False
    for each in case.selected:
        trouble = unfit(demand, each, "spectral_norm")
        if trouble is not None:
            troubled = True
            yield trouble
    limit = demand.parameters["limit"]
    if troubled or not case.selected or _products(case.selected)[2] <= math.frexp(limit)[::-1]:
        return
    yield _too_long(case, demand)


def above_limit(case: Case, demand: Demand) -> Iterator[str]:
    """Names of the weights whose bracket of σ₁ holds a limit from above."""
    limit = demand.parameters["limit"]
    for each in _known(case):
        lower, _, upper = _bracket(each)
        if lower <= limit < upper:
            yield each.name


def below_floor(case: Case, demand: Demand) -> Iterator[str]:
    """Names of the weights whose bracket of σ₁ holds a limit from below."""
    limit = demand.parameters["limit"]
    for each in _known(case):
        lower, _, upper = _bracket(each)
        if lower < limit <= upper:
            yield each.name


def below_stable_rank(case: Case, demand: Demand) -> Iterator[str]:
    """Names of the weights whose bracket of the stable rank holds the limit."""
    limit = demand.parameters["limit"]
    for each in _known(case):
        if unfit(demand, each, "frobenius") is None:
            lower, _, upper = _stable_rank(each)
            if lower < limit <= upper:
                yield each.name


def above_product(case: Case, demand: Demand) -> Iterator[str]:
    """Names of all weights, where the bracket of their product holds the limit."""
    known = list(_known(case))
    if not known or len(known) < len(case.selected):
        return
    lower, _, upper = _products(known)
    if lower <= math.frexp(demand.parameters["limit"])[::-1] < upper:
        yield from (each.name for each in known)


def _known(case: Case) -> Iterator[Measurement]:
    """The weights with a bracket of σ₁ that a narrower one could say more about."""
    for each in case.selected:
        norm = each.spectral_norm
        if not each.problem and norm is not None and not math.isnan(norm.value):
            yield each


def _bracket(measurement: Measurement) -> tuple[float, float, float]:
    """(lower, value, upper) of σ₁."""
    norm = measurement.spectral_norm
    if norm is None:
        return math.nan, math.nan, math.nan
    return norm.lower, norm.value, norm.upper


def _stable_rank(measurement: Measurement) -> tuple[float, float, float]:
    """(lower, value, upper) of ‖W‖_F²/σ₁²; 0 of a zero matrix, for it has no direction at all."""
    lower, value, upper = _bracket(measurement)
    frobenius = measurement.frobenius or 0.0
    if not frobenius:
        return 0.0, 0.0, 0.0
    squares = [math.inf if not end else (frobenius / end) ** 2 for end in (upper, value, lower)]
    low, middle, high = (max(1.0, square) for square in squares)  # ‖W‖_F is never below σ₁
    return low, middle, high


def _products(measurements: Iterable[Measurement]) -> tuple[tuple[float, float], ...]:
    """The products of the lower ends, of the values and of the upper ends."""
    return tuple(map(_product, zip(*map(_bracket, measurements), strict=True)))


def _product(factors: Iterable[float]) -> tuple[float, float]:
    """(exponent, mantissa) of a product that a float may not hold; they compare as it does.

    Rounded as a product of floats is, so that 2·3 is 6 and no limit is missed by a logarithm.
    """
    mantissa, exponent = 0.5, 1
    for factor in factors:
        part, power = math.frexp(factor)
        if not part:
            return _NOTHING
        mantissa, shift = math.frexp(mantissa * part)
        exponent += power + shift
    return exponent, mantissa


def _too_long(case: Case, demand: Demand) -> Finding:
    lower, value, upper = (_as_float(each) for each in _products(case.selected))
    what = (
        f"the product of σ₁ of {len(case.selected)} weights, an upper bound of the Lipschitz "
        "constant of a plain chain of them,"
    )
    largest = max(case.selected, key=lambda each: _bracket(each)[2])
    fix = f"{_smaller(largest, None)}: it has the largest σ₁; or name one chain in weights"
    finding = above(demand, "", what, (lower, value, upper), fix)
    if math.isfinite(upper):
        return finding
    exponent, mantissa = _products(case.selected)[1]
    power = (exponent + math.log2(mantissa)) * math.log10(2)
    limit = demand.parameters["limit"]
    message = f"{what} is 10^{power:.1f}, above the limit {limit:.4g}"
    return broken(demand, "", message, fix, value=value, lower=lower, upper=upper, limit=limit)


def _as_float(product: tuple[float, float]) -> float:
    exponent, mantissa = product
    if not mantissa:
        return 0.0
    return math.inf if exponent > 1024 else math.ldexp(mantissa, int(exponent))


def _smaller(measurement: Measurement, limit: float | None) -> str:
    """How σ₁ becomes smaller."""
    state = measurement.state
    norms = state.stack or (state,) if state else ()
    if any(norm.family == "spectral" for norm in norms):
        return command("refresh", measurement.name)
    clip = "LIMIT" if limit is None else repr(limit)
    options = f"--spectral --layout plain --clip {clip}"
    if norms:
        return f"normcli remove PATH, then {command('apply', measurement.name, options)}"
    return command("apply", measurement.name, options)
