"""Hand-made verdicts that every format of the gate is tested with."""

from __future__ import annotations

import math

from render_records import GAN, PLAIN, SHARDED

from normcli.records import (
    Checked,
    Demand,
    Finding,
    Ignored,
    InputFile,
    Measurement,
    Opaque,
    Overflow,
    Policy,
    Report,
    Skipped,
    Unread,
    Verdict,
)
from normcli.rules.base import Rule


def _limit(case, demand):
    """No spectral norm is above a limit.

    The upper end of the bracket counts.

    Why:
        A discriminator is Lipschitz only as far as its
        weights are; σ₁ above the limit <breaks> that.

    Fix:
        Clip it: `normcli apply --spectral --layout plain --clip LIMIT`.
    """
    yield from ()


def _stale(case, demand):
    """Stored u and v belong to their weight.

    Why: The layer divides by a σ that is not its own.

    Fix: Run `normcli refresh PATH`.
    """
    yield from ()


def _foreign(case, demand):
    """The file holds nothing but tensors and plain data."""
    yield from ()


RULES = {
    "spectral-limit": Rule("spectral-limit", _limit, "weights"),
    "stale-state": Rule("stale-state", _stale, "states", severity="warning"),
    "foreign-objects": Rule("foreign-objects", _foreign, "checkpoint"),
}

POLICY = Policy(
    (
        Demand("spectral-limit", weights=("D/*", "G/*"), place="normcli.toml, line 4"),
        Demand("stale-state", "warning"),
        Demand("foreign-objects"),
        Demand("from-tomorrow", "warning", weights=("*.bias",), optional=True),
    ),
    path="normcli.toml",
)

ABOVE = Finding(
    "spectral-limit",
    "error",
    "D/blocks.1.conv.weight",
    "σ₁ ≥ 1.250 is above the limit 1.010",
    fix="normcli apply gan.pt --spectral --layout plain --clip 1.01",
    value=1.25,
    lower=1.2499,
    upper=1.2501,
    limit=1.01,
    demand=0,
)
NAN = Finding(
    "spectral-limit",
    "error",
    "generator.upsampling_blocks.0.residual.conv1.weight",
    "σ₁ is NaN: 3 entries are NaN and 1 is infinite, limit 1.010",
    value=math.nan,
    lower=-math.inf,
    upper=math.inf,
    limit=1.01,
    demand=0,
)
STALE = Finding(
    "stale-state",
    "warning",
    "D/blocks.1.conv.weight",
    "σ_stored is 20 % below σ₁ of the original, demanded are 5 % at most",
    fix="normcli refresh gan.pt",
    value=0.2,
    limit=0.05,
    demand=1,
)
KNOWN = Finding(
    "stale-state",
    "warning",
    "G/fc.weight",
    "σ_stored is 6 % below σ₁",
    demand=1,
    ignored=Ignored("trained on, refreshed at export", "2027-06-30"),
)
FOR_GOOD = Finding(
    "foreign-objects", "error", "", "holds argparse.Namespace", demand=2, ignored=Ignored("ours")
)
UNMATCHED = Finding(
    "from-tomorrow",
    "error",
    "",
    "'*.bias' matches none of 7 weights, so that nothing was looked at",
    fix="mend the pattern, or say optional = true",
    demand=3,
)
LAPSED = Finding(
    "stale-state",
    "warning",
    "",
    "its ignore lapsed on 2026-01-01: known",
    fix="normcli.toml, line 30: take it out, or set a later day",
)
NASTY = 'evil[red]/a\x1b[31m\r\n::error::|%25`<b>,\u202e"q" 重み\ud800\udcff\x00\ufffe.weight'
HOSTILE = Finding(
    "spectral-limit\n::notice::",
    "error",
    NASTY,
    f"'{NASTY}' is above\n1.01 ]]> &amp; {{{{ x }}}}",
    fix=f"rm '{NASTY}'",
    demand=0,
)
SMALL = Report(
    "runs/a b%20ü#1,x:y.safetensors",
    "safetensors",
    (InputFile("a.safetensors", 20_480),),
    (PLAIN,),
)
EVIL = Report(NASTY, "torch-zip", (InputFile("x", 9),), SHARDED.measurements)

PASSING = Verdict(POLICY, (Checked(SMALL, (), (1, 0, 0, 0), 1),))
FAILING = Verdict(
    POLICY,
    (
        Checked(
            GAN,
            (STALE, KNOWN, FOR_GOOD, ABOVE, NAN, UNMATCHED, LAPSED),
            (7, 4, 0, 0),
            7,
        ),
        Checked(SMALL, (), (1, 0, 0, 0), 1),
        Checked(Report("/nowhere/x y.pt", "torch-zip", ()), (STALE, STALE), (0, 0, 0, 0), 0),
    ),
    (Unread("./broken.pt", "is neither a zip nor a pickle", "look at it with file(1)"),),
)
WARNED = Verdict(POLICY, (Checked(SMALL, (STALE,), (1, 1, 0, 0), 1),))
STRICT = Verdict(Policy(POLICY.demands, fail_on="warning"), WARNED.checked)
NEVER = Verdict(Policy(POLICY.demands, fail_on="never"), (Checked(GAN, (ABOVE,), (7, 4, 0, 0), 7),))
EVILS = Verdict(
    Policy(POLICY.demands, path=NASTY),
    (Checked(EVIL, (HOSTILE,), (1, 0, 0, 0), 1),),
    (Unread(NASTY, f"{NASTY} is\nodd", NASTY),),
)
EMPTY = Verdict(POLICY)
UNREAD = Verdict(POLICY, (), FAILING.unread)


def _of(number):
    weight = f"blocks.{number}.weight"
    return Finding("spectral-limit", "error", weight, f"σ₁ ≥ {number + 2} is above 1", demand=0)


MANY = Verdict(POLICY, (Checked(GAN, tuple(map(_of, range(1000))), (1000, 0, 0, 0), 1000),))
DEEP = Measurement(
    "",
    "half.weight",
    (4, 4),
    "float16",
    16,
    problem="parts of a norm stand beside it",
    constant=True,
    overflow=(
        Overflow("float8_e4m3fn", 3, math.inf, (0, 2)),
        Overflow("bfloat16", 0, 12.0),
    ),
)
FOREIGN = Verdict(
    POLICY,
    (
        Checked(
            Report(
                "odd.pt",
                "torch-zip",
                (InputFile("odd.pt", 9, "ab" * 32),),
                (DEEP,),
                (Skipped("a", "integers"),),
                opaque=(Opaque("argparse.Namespace", 1, "args"), Opaque("os.system", 2, "")),
            ),
            (FOR_GOOD,),
            (1, 0, 0, 0),
            1,
        ),
    ),
)
VERDICTS = {
    "passing": PASSING,
    "failing": FAILING,
    "warned": WARNED,
    "strict": STRICT,
    "never": NEVER,
    "hostile": EVILS,
    "empty": EMPTY,
    "unread": UNREAD,
    "many": MANY,
    "foreign": FOREIGN,
}
