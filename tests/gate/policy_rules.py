"""Rules of the tests' own, so that what is proved of policies does not depend on any rule."""

from typing import Annotated, Literal

from pydantic import Field

from normcli.gate import mistakes, models, policy
from normcli.rules.base import Parameter, Rule

LIMIT = Annotated[float, Field(gt=0)]
DTYPES = ("bfloat16", "float16", "float32", "float64", "float8_e4m3fn", "float8_e5m2", "complex64")


def nothing(case, demand):
    """Nothing is found."""
    del case, demand
    yield from ()


def rule(name, **more):
    return Rule(name, nothing, more.pop("scope", "weights"), **more)


RULES = {
    each.name: each
    for each in (
        rule("finite", built_in=True),
        rule("zero-rows", built_in=True, severity="warning"),
        rule(
            "stale-state",
            built_in=True,
            parameters={"tolerance": Parameter(Annotated[float, Field(ge=0)], "how far", 0.05)},
        ),
        rule("spectral-limit", parameters={"limit": Parameter(LIMIT, "largest")}),
        rule(
            "dtype",
            parameters={"dtype": Parameter(Literal[DTYPES] | list[Literal[DTYPES]], "which")},
        ),
        rule("shape", parameters={"shape": Parameter(list[int], "which")}),
        rule("drift", parameters={"tolerance": Parameter(LIMIT, "how far", 1e-3)}),
    )
}


def use(monkeypatch):
    """Let the gate know these rules and no others."""
    for module in (policy, models, mistakes):
        monkeypatch.setattr(module, "RULES", RULES)
