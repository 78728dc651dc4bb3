"""Hand-made records that every format is tested with: every case that a reader has to survive."""

from __future__ import annotations

import math

from normcli.records import (
    InputFile,
    Listing,
    Measurement,
    NormState,
    PowerIteration,
    Report,
    Skipped,
    SpectralNorm,
    StateValues,
    TensorRef,
    Trace,
    TraceStep,
)
from normcli.render.document import Order
from normcli.render.listed import listing_document
from normcli.render.measured import report_document
from normcli.render.trace import TraceDocument


def exact(value, method="gram-cholesky", bound=1e-10):
    return SpectralNorm(value, value * (1 - 1e-7), value * (1 + 1e-7), bound, method, 3)


SPECTRAL = Measurement(
    "D",
    "blocks.0.conv.weight",
    (64, 32, 3, 3),
    "float32",
    18432,
    (64, 288),
    StateValues(
        "spectral", "legacy", 0, 1.9, 1.0, 1.0, original_spectral_norm=1.93, staleness=0.0155
    ),
    6.1,
    0,
    0,
    0,
    exact(1.016),
    PowerIteration(1.015, 1, "stored", 0.00098),
    36.05,
)
STALE = Measurement(
    "D",
    "blocks.1.conv.weight",
    (128, 64, 3, 3),
    "float32",
    73728,
    (128, 576),
    StateValues(
        "spectral", "parametrized", 0, 1.5, 1.0, 0.25, original_spectral_norm=1.875, staleness=0.2
    ),
    18.75,
    0,
    0,
    2,
    exact(1.25),
    PowerIteration(1.1875, 1, "stored", 0.05),
    225.0,
    ("the stored u and v explain 80 % of the spectral norm of the original",),
)
BROKEN = Measurement(
    "",
    "generator.upsampling_blocks.0.residual.conv1.weight",
    (512, 256, 3),
    "bfloat16",
    393216,
    (512, 768),
    None,
    math.nan,
    3,
    1,
    0,
    SpectralNorm(math.nan, 0.0, math.inf, 0.0, "non-finite", 1),
    None,
    None,
    ("3 entries are NaN and 1 is infinite",),
)
WEIGHT_NORM = Measurement(
    "G",
    "out.weight",
    (3, 64, 7),
    "float16",
    1344,
    (3, 448),
    StateValues("weight", "parametrized", None, g_min=12.5, g_max=12.5),
    12.5,
    0,
    0,
    0,
    exact(8.25),
    PowerIteration(8.249, 15, "random", 0.00012),
    2.2957,
)
UNKNOWN = Measurement(
    "G",
    "mix.weight",
    (10, 10),
    "float32",
    100,
    None,
    StateValues("unknown", "parametrized"),
    notes=("an unknown parametrization: no effective weight can be told",),
)
STACK = Measurement(
    "G",
    "fc.weight",
    (1000, 512),
    "float32",
    512000,
    (1000, 512),
    StateValues(
        "spectral",
        "parametrized",
        0,
        stack=(
            StateValues("weight", "parametrized", 0, g_min=0.1, g_max=2.0),
            StateValues("spectral", "parametrized", 0, 3.0, 1.0, 1.0, 3.0, 0.0),
        ),
    ),
    12345.678,
    0,
    0,
    0,
    exact(1234.5),
    PowerIteration(1.2345e-7, 1, "stored", 1.0),
    100.01,
)
PLAIN = Measurement(
    "", "head.weight", (10, 512), "float32", 5120, (10, 512), None, 5.5, 0, 0, 0, exact(2.25)
)
HOSTILE = Measurement(
    "evil[red]",
    'a\x1b[31m\n\t|`<b>\u202e,"q"\ud800.weight',
    (2, 2),
    "float32",
    4,
    (2, 2),
    None,
    1.0,
    0,
    0,
    0,
    exact(1.0),
    notes=("'a\x1b[31m' is named\noddly",),
)

GAN = Report(
    "gan.pt",
    "torch-zip",
    (InputFile("gan.pt", 1_330_000, "0f" * 32),),
    (SPECTRAL, STALE, BROKEN, WEIGHT_NORM, UNKNOWN, STACK, PLAIN),
    (
        Skipped("optim_D/state/[0]/exp_avg", "optimizer state"),
        Skipped("optim_D/state/[1]/exp_avg", "optimizer state"),
        Skipped("D/bn.num_batches_tracked", "not a floating-point tensor"),
    ),
    ("written by torch 2.1",),
)
SHARDED = Report(
    "models/hostile\x1b]0;owned\x07",
    "sharded-safetensors",
    (
        InputFile("model-00001-of-00002.safetensors", 4_000_000_000, "ab" * 32),
        InputFile("model-00002-of-00002.safetensors", 999, "cd" * 32),
    ),
    (HOSTILE,),
)
REPORTS = (GAN, SHARDED)


def ref(key, shape, dtype="float32", *, section="", storage="", note=""):
    size = {"float32": 4, "bfloat16": 2}[dtype] * math.prod(shape)
    return TensorRef(section, key, shape, dtype, size, storage, note)


CONV = NormState(
    "D",
    "conv.weight",
    "spectral",
    "legacy",
    {
        "original": ref("conv.weight_orig", (8, 4, 3, 3), section="D"),
        "u": ref("conv.weight_u", (8,), section="D"),
        "v": ref("conv.weight_v", (36,), section="D"),
    },
    (0,),
    (8, 4, 3, 3),
    "float32",
)
OPEN = NormState(
    "",
    "square.weight",
    "weight",
    "parametrized",
    {
        "g": ref("square.parametrizations.weight.original0", (1, 1)),
        "original": ref("square.parametrizations.weight.original1", (16, 16)),
    },
    (0, 1, None),
    (16, 16),
    "float32",
    notes=("the shapes leave the row axis open",),
)
STACKED = NormState(
    "",
    "both.weight",
    "spectral",
    "parametrized",
    {},
    (0,),
    (16, 16),
    "float32",
    stack=(OPEN, CONV),
    problem="a stack that cannot be undone",
)
LISTINGS = (
    Listing(
        "gan.safetensors",
        "safetensors",
        (InputFile("gan.safetensors", 123_456),),
        (
            CONV,
            OPEN,
            STACKED,
            ref("embed.weight", (1000, 64), "bfloat16", storage="0"),
            ref("head.weight", (1000, 64), "bfloat16", storage="0", note="views shared bytes"),
        ),
        (Skipped("step", "scalar"),),
    ),
    Listing(
        "shards",
        "sharded-torch",
        (InputFile("a.bin", 10), InputFile("b.bin", 20)),
        (ref("a\x1b[0m\u202e.weight", (1, 2)),),
        notes=("a shard is listed twice",),
    ),
)


def report(reports=REPORTS, order=Order(), chosen=(), seconds=0.84):  # noqa: B008 - frozen
    return report_document(reports, version="0.1.0", order=order, chosen=chosen, seconds=seconds)


def listing(listings=LISTINGS, order=Order(), chosen=(), seconds=0.01):  # noqa: B008 - frozen
    return listing_document(listings, version="0.1.0", order=order, chosen=chosen, seconds=seconds)


def traced(values, norm, **fields):
    """A trace of some values of σ̂; everything else as in an ordinary one, or as told."""
    steps = tuple(
        TraceStep(n, value, 1 - value / norm.value if norm.value > 0 else None)
        for n, value in enumerate(values)
    )
    ordinary = {
        "path": "gan.pt",
        "name": "D/blocks.0.conv.weight",
        "matrix_shape": (64, 288),
        "start": "stored",
        "gap": 0.75,
        "predicted": {"0.01": 9, "0.001": 15},
        "state": StateValues("spectral", "legacy", 0, 1.9, 1.0, 1.0),
        "notes": ("the shapes leave the row axis open",),
    }
    return Trace(spectral_norm=norm, steps=steps, **{**ordinary, **fields})


FALLING = traced([2.0 * (1 - 0.2 * 0.7**n) for n in range(10)], exact(2.0))
LONG = traced(
    [2.0 * (1 - 0.9**n) for n in range(301)],
    exact(2.0),
    name="head.weight",
    start="random",
    state=None,
    notes=(),
    predicted={"0.01": 44, "0.001": 66},
)
NOT_FINITE = traced(
    [math.nan, math.inf],
    SpectralNorm(math.nan, math.nan, math.nan, 0.0, "non-finite", 1),
    path="models/hostile\x1b]0;owned\x07",
    name='a\x1b[31m\n\t|`<b>\u202e,"q"\ud800.weight',
    start="random",
    state=WEIGHT_NORM.state,
    gap=None,
    predicted={"0.01": None, "0.001": None},
    notes=("entries are NaN\nor infinite",),
)
TRACES = {"falling": FALLING, "long": LONG, "not finite": NOT_FINITE}


def trace(found=FALLING):
    return TraceDocument(found, "0.1.0")
