"""Rewritings made by hand: what a writer would hand to a renderer."""

import math
from dataclasses import replace

from render_records import CONV, ref

from normcli.records import (
    Change,
    Given,
    InputFile,
    LayerInit,
    Moments,
    NormState,
    Rewriting,
    Skipped,
    Spelling,
    Spread,
    Step,
)
from normcli.render.rewriting import RewritingDocument

LEGACY = Spelling("spectral", "legacy")
PARAMETRIZED = Spelling("spectral", "parametrized")
WEIGHT_LEGACY = Spelling("weight", "legacy")
BOTH = Spelling("weight+spectral", "parametrized")
MASKED = Spelling("pruning", "legacy")
PLAIN = Spelling()

MASK = NormState(
    "",
    "head.weight",
    "pruning",
    "legacy",
    {"original": ref("head.weight_orig", (10, 16)), "mask": ref("head.weight_mask", (10, 16))},
    (),
    (10, 16),
    "float32",
)
BLOCK = "generator.upsampling_blocks.0.residual.conv1.weight"
HOSTILE = 'a\x1b[31m\n\t|`<b>\u202e,"q"\ud800.weight'


def step(verb, weight, spelled, axis, change):
    """A step that gives the weight under its own name; `spelled` is (before, after)."""
    takes = tuple(weight.parts.values()) if isinstance(weight, NormState) else (weight,)
    gives = (Given(ref(weight.key, weight.shape, section=weight.section), takes[0].name),)
    return Step(verb, weight, *spelled, axis, takes, gives, change)


REMOVED = Rewriting(
    verb="remove",
    path="gan.pt",
    format="torch-zip",
    files=(InputFile("gan.pt", 1_330_000, "0f" * 32),),
    output="gan.plain.pt",
    output_format="torch-zip",
    output_files=(InputFile("gan.plain.pt", 1_310_000, "ab" * 32),),
    steps=(
        step("remove", CONV, (LEGACY, PLAIN), 0, "W / σ of the stored u and v"),
        step("remove", ref(BLOCK, (512, 256, 3)), (WEIGHT_LEGACY, PLAIN), None, "g·v / ‖v‖"),
        step("remove", ref("up.weight", (64, 32, 4, 4)), (BOTH, PLAIN), 1, "g·v / ‖v‖, then W / σ"),
        step("remove", MASK, (MASKED, PLAIN), None, "W × mask"),
    ),
    changes={
        "D/conv.weight": Change(0, 1.25, 1.0, 1.5625, 0.0, ("u and v explain 80 % of σ₁",)),
        BLOCK: Change(None, largest_change=5.96e-8),
        "up.weight": Change(1, 12345.678, 1.0, 12345.9, 0.0),
        "head.weight": Change(largest_change=0.0),
    },
    left=(
        Skipped("fc.weight", "all of its entries are zero"),
        *(Skipped(f"blocks.{n}.mix.weight", "an unknown parametrization") for n in range(12)),
    ),
    notes=("'a.weight' and 'b.weight' were tied and share their bytes",),
    options={"sigma": "stored", "restore": False, "include": ["D/*"], "dims": {"up.*": 1}},
    versions={"normcli": "0.1.0", "torch": "2.9.0", "python": "3.12.1"},
    written=True,
)
PLAN = Rewriting(
    verb="apply",
    path="model.safetensors",
    format="safetensors",
    files=(InputFile("model.safetensors", 271_000),),
    output="model.weight",
    output_format="sharded-safetensors",
    steps=(
        step("apply", ref(BLOCK, (512, 256, 3)), (PLAIN, WEIGHT_LEGACY), None, "g = ‖W‖, v = W"),
        step("apply", ref("conv.weight", (8, 8, 3)), (PLAIN, LEGACY), "auto", "unchanged"),
    ),
    options={"norm": "weight", "layout": "legacy"},
    versions={"normcli": "0.1.0"},
)
HARD = replace(
    REMOVED,
    verb="refresh",
    path="models/hostile\x1b]0;owned\x07",
    output="models/hostile\x1b]0;owned\x07",
    output_files=(InputFile("a.bin", 4_000_000_000, "cd" * 32), InputFile("b.bin", 9, "ef" * 32)),
    steps=(step("refresh", ref(HOSTILE, (2, 2)), (PARAMETRIZED, PARAMETRIZED), 0, "u and v"),),
    changes={HOSTILE: Change(0, math.nan, -math.inf, math.inf, math.nan, ("is NaN\nor worse",))},
    left=(Skipped(HOSTILE, "odd\x1b[0m"),),
    notes=("x\u202ey",),
)


def layer(name, shape, units, *spreads, kind="Conv1d", notes=()):
    """A layer that was initialized; `spreads` are mean and std before, mean and std after."""
    ends = [Spread(*each) for each in spreads]
    return LayerInit(name, kind, shape, units, 4096, Moments(*ends[:2]), Moments(*ends[2:]), notes)


LAYERS = (
    layer(BLOCK, (512, 256, 3), 512, (-0.3125, 0.41875), (0.0123, 1.3125),
          (-2.5e-8, 3.125e-8), (0.99999976, 1.0000001)),
    layer("G/ups.0.weight", (64, 32, 4), 32, (-12.5, 250.25), (3.04, 3.0401),
          (0.0, 0.0), (1.0, 1.0), kind="ConvTranspose1d"),
    layer("G/head.0.weight", (1, 32, 7), 1, (1e-6, 1e-6), (2e-5, 2e-5),
          (0.125, 0.125), (0.98, 0.98), notes=("float16 holds the weight to 3 digits",)),
)  # fmt: skip
WEIGHT_PARAMETRIZED = Spelling("weight", "parametrized")
INITIALIZED = replace(
    REMOVED,
    verb="initialize",
    path="runs/7/generator.pt",
    output="runs/7/generator.initialized.pt",
    output_files=(InputFile("generator.initialized.pt", 1_330_000, "ab" * 32),),
    steps=tuple(
        step(
            "initialize", ref(each.name, each.shape), (spelled, spelled), axis, "W / s, (b - m) / s"
        )
        for each, spelled, axis in zip(
            LAYERS, (WEIGHT_PARAMETRIZED, WEIGHT_LEGACY, PLAIN), (0, 0, None), strict=True
        )
    ),
    changes={
        each.name: Change(axis, layer=each, notes=each.notes)
        for each, axis in zip(LAYERS, (0, 0, None), strict=True)
    },
    left=(
        Skipped("G/conv_post.weight", "runs twice"),
        Skipped("G/unused.weight", "the batch does not reach it"),
    ),
    notes=("the model ran in evaluation mode",),
    options={"model": "hifigan:Generator", "batch": "runs/7/batch.safetensors"},
    batch=InputFile("runs/7/batch.safetensors", 2_621_440, "cd" * 32),
)
BROKEN = replace(
    HARD,
    verb="initialize",
    steps=(step("initialize", ref(HOSTILE, (2, 2)), (PARAMETRIZED, PLAIN), 0, "W / s"),),
    changes={
        HOSTILE: Change(
            0,
            layer=layer(HOSTILE, (2, 2), 2, (math.nan, 1.0), (-math.inf, math.inf),
                        (0.0, math.nan), (0.0, math.inf), kind="Linear\x1b[0m"),
        )
    },
    batch=InputFile("b\x1b[31m\u202ex.npy", 9),
)  # fmt: skip
COPIED = replace(REMOVED, verb="convert", steps=(), changes={}, left=(), notes=())
REWRITINGS = {
    "removed": REMOVED, "plan": PLAN, "hard": HARD, "copied": COPIED, "initialized": INITIALIZED,
    "broken": BROKEN,
}  # fmt: skip


def rewriting(found=REMOVED):
    return RewritingDocument(found, "0.1.0")
