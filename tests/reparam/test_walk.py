"""Which weights and norm states a header holds, told from names, shapes and dtypes alone."""

import subprocess
import sys

import pytest

from normcli.records import NormState, TensorRef
from normcli.reparam import LAYOUTS, weights


def refs(shapes, section=""):
    made = [TensorRef(section, key, shape, "float32", 4) for key, shape in shapes.items()]
    return {ref.name: ref for ref in made}


def only(shapes, metadata=None):
    found = weights(refs(shapes), {"": metadata or {}})
    assert len(found) == 1
    return found[0]


P = "fc.parametrizations.weight."
STATES = {
    "legacy spectral": (
        {"fc.weight_orig": (5, 7), "fc.weight_u": (5,), "fc.weight_v": (7,)},
        ("spectral", "legacy", (0,)),
    ),
    "legacy spectral on axis 1": (
        {"fc.weight_orig": (4, 6, 3), "fc.weight_u": (6,), "fc.weight_v": (12,)},
        ("spectral", "legacy", (1,)),
    ),
    "legacy spectral, square": (
        {"fc.weight_orig": (6, 6), "fc.weight_u": (6,), "fc.weight_v": (6,)},
        ("spectral", "legacy", (0, 1)),
    ),
    "version 0": (
        {"fc.weight_orig": (5, 7), "fc.weight": (5, 7), "fc.weight_u": (5,)},
        ("spectral", "legacy-v0", (0,)),
    ),
    "legacy weight norm": (
        {"fc.weight_g": (5, 1), "fc.weight_v": (5, 7)},
        ("weight", "legacy", (0,)),
    ),
    "legacy weight norm on axis 2": (
        {"fc.weight_g": (1, 1, 128), "fc.weight_v": (768, 48, 128)},
        ("weight", "legacy", (2,)),
    ),
    "legacy weight norm over all": (
        {"fc.weight_g": (), "fc.weight_v": (5, 7)},
        ("weight", "legacy", (None,)),
    ),
    "old weight norm over all": (
        {"fc.weight_g": (1,), "fc.weight_v": (5, 7)},
        ("weight", "legacy", (None,)),
    ),
    "weight norm, one output": (
        {"fc.weight_g": (1, 1), "fc.weight_v": (1, 7)},
        ("weight", "legacy", (0,)),
    ),
    "weight bar": (
        {"fc.weight_bar": (6, 6), "fc.weight_u": (6,), "fc.weight_v": (6,)},
        ("spectral", "weight-bar", (0,)),
    ),
    "biggan": (
        {"fc.weight": (5, 7), "fc.bias": (5,), "fc.u0": (1, 5), "fc.sv0": (1,)},
        ("spectral", "biggan", (0,)),
    ),
    "mimicry": (
        {"fc.weight": (5, 7), "fc.sn_u": (1, 5), "fc.sn_sigma": (1,)},
        ("spectral", "mimicry", (0,)),
    ),
    "pruned": (
        {"fc.weight_orig": (5, 7), "fc.weight_mask": (5, 7)},
        ("pruning", "legacy", (0,)),
    ),
    "parametrized spectral": (
        {P + "original": (5, 7), P + "0._u": (5,), P + "0._v": (7,)},
        ("spectral", "parametrized", (0,)),
    ),
    "parametrized weight norm": (
        {P + "original0": (5, 1), P + "original1": (5, 7)},
        ("weight", "parametrized", (0,)),
    ),
    "parametrized weight norm over all": (
        {P + "original0": (), P + "original1": (5, 7)},
        ("weight", "parametrized", (None,)),
    ),
}


@pytest.mark.parametrize(("shapes", "expected"), STATES.values(), ids=STATES)
def test_a_layout_is_told_from_names_and_shapes(shapes, expected):
    state = next(w for w in weights(refs(shapes)) if w.key == "fc.weight")
    assert isinstance(state, NormState)
    assert state.problem == ""
    assert (state.family, state.layout, state.axes) == expected


def test_every_layout_has_a_case_here():
    listed = {(row.family, row.name) for row in LAYOUTS}
    assert listed <= {(family, layout) for _, (family, layout, _) in STATES.values()}


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "a.b.c."])
@pytest.mark.parametrize("leaf", ["weight", "weight_hh_l0", "in_proj_weight"])
def test_prefix_and_parameter_name_do_not_matter(prefix, leaf):
    legacy = {prefix + leaf + suffix: shape
              for suffix, shape in {"_orig": (5, 7), "_u": (5,), "_v": (7,)}.items()}  # fmt: skip
    stem = f"{prefix}parametrizations.{leaf}."
    new = {stem + "original": (5, 7), stem + "0._u": (5,), stem + "0._v": (7,)}
    assert only(legacy).key == only(new).key == prefix + leaf


UNKNOWN = {
    "stateless": ({P + "original": (5, 7)}, {}, "no state"),
    "orthogonal": ({P + "original": (5, 5), P + "0.base": (5, 5)}, {}, "an orthogonal map"),
    "custom": ({P + "original": (5, 5), P + "0.scale": (5,)}, {}, "a custom map"),
    "stateless below": (
        {P + "original": (5, 7), P + "1._u": (5,), P + "1._v": (7,)}, {}, "index 0"),
    "stateless above, by metadata": (
        {P + "original": (5, 7), P + "0._u": (5,), P + "0._v": (7,)},
        {P + "0": {"version": 1}, P + "1": {"version": 1}},
        "index 1 has no state",
    ),
    "nested": ({P + "parametrizations.original.original": (5, 7)}, {}, "of a parametrization"),
    "two outputs": (
        {P + "original0": (5, 7), P + "original1": (5, 7)}, {}, "not g and v of weight norm"),
    "three originals": (
        {P + "original0": (5, 1), P + "original1": (5, 7), P + "original2": (5,)}, {}, "original2"),
}  # fmt: skip


@pytest.mark.parametrize(("shapes", "metadata", "reason"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_nobody_can_tell_is_named_and_not_guessed(shapes, metadata, reason):
    state = only(shapes, metadata)
    assert (state.family, state.key) == ("unknown", "fc.weight")
    assert "unknown parametrization" in state.problem
    assert reason in state.problem


def test_metadata_that_lists_only_what_has_state_changes_nothing():
    metadata = {"fc": {}, P[:-1]: {}, P + "0": {"version": 1}}
    state = only({P + "original": (5, 7), P + "0._u": (5,), P + "0._v": (7,)}, metadata)
    assert state.family == "spectral"


PLAIN = {
    "rwkv": {"att.time_mix_g": (1, 1, 8), "att.time_mix_v": (1, 1, 8)},
    "transformer-xl biases": {"pos_bias_u": (8, 64), "pos_bias_v": (8, 64)},
    "lora": {"fc.lora_u": (5, 2), "fc.lora_v": (2, 7)},
    "query and value": {"to_q": (5, 5), "to_v": (5, 5)},
    "a model's own u0": {"fc.weight": (5, 7), "fc.u0": (5,)},
    "attention": {"in_proj_weight": (15, 5), "out_proj.weight": (5, 5)},
    "mask without original": {"attn_mask": (8, 8)},
    "a masked layer": {"fc.weight": (5, 7), "fc.weight_mask": (5, 7)},
    "a mask of weights": {"fc.weight_mask": (5, 7)},
}


@pytest.mark.parametrize("shapes", PLAIN.values(), ids=PLAIN)
def test_names_that_only_look_like_norms_stay_plain(shapes):
    found = weights(refs(shapes))
    assert [weight.key for weight in found] == list(shapes)
    assert not any(isinstance(weight, NormState) or weight.note for weight in found)


BROKEN = {
    "u of another model": (
        {"fc.weight_orig": (8, 6), "fc.weight_u": (7,), "fc.weight_v": (6,)},
        "'fc.weight_u' has shape (7,), expected one axis of 'fc.weight_orig' (8, 6), usually (8,)",
    ),
    "v of another model": (
        {"fc.weight_orig": (8, 6), "fc.weight_u": (8,), "fc.weight_v": (7,)},
        "'fc.weight_v' has shape (7,), expected (6,)",
    ),
    "lone v": ({"fc.weight_v": (5, 7)}, "expected 'fc.weight_g' (weight norm) or"),
    "lone original": ({"fc.weight_orig": (5, 7)}, "'fc.weight_u' and 'fc.weight_v'"),
    "spectral and weight norm": (
        {"fc.weight_orig": (5, 7), "fc.weight_u": (5,), "fc.weight_v": (7,), "fc.weight_g": (5, 1)},
        "expected the parts of one norm",
    ),
    "g of another model": (
        {"fc.weight_g": (4, 1), "fc.weight_v": (5, 7)},
        "'fc.weight_g' has shape (4, 1), expected 1 at every axis of 'fc.weight_v' (5, 7) but one",
    ),
    "one g that torch does not write": (
        {"fc.weight_g": (1, 1), "fc.weight_v": (4, 5)},
        "'fc.weight_g' has shape (1, 1)",
    ),
    "two layouts": (
        {"fc.weight_g": (5, 1), "fc.weight_v": (5, 7), P + "original0": (5, 1),
         P + "original1": (5, 7)},
        "two layouts, legacy and parametrized",
    ),
    "weight beside its parts": (
        {"fc.weight": (5, 7), "fc.weight_orig": (5, 7), "fc.weight_u": (5,), "fc.weight_v": (7,)},
        "'fc.weight' stands beside the parts of its norm",
    ),
    "parametrized u of another model": (
        {P + "original": (8, 6), P + "0._u": (7,), P + "0._v": (6,)},
        "has shape (7,)",
    ),
    "mask of another shape": (
        {"fc.weight_orig": (5, 7), "fc.weight_mask": (5, 8)},
        "'fc.weight_mask' has shape (5, 8), expected (5, 7)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("shapes", "sentence"), BROKEN.values(), ids=BROKEN)
def test_a_contradicting_state_is_one_weight_with_the_reason(shapes, sentence):
    state = only(shapes)
    assert state.key == "fc.weight"
    assert sentence in state.problem


def test_a_stray_part_beside_a_plain_weight_is_a_note_on_it():
    found = {w.key: w for w in weights(refs({"fc.weight": (5, 7), "fc.weight_v": (7,)}))}
    assert set(found) == {"fc.weight", "fc.weight_v"}
    assert "'fc.weight_v' beside 'fc.weight'" in found["fc.weight"].note


def test_scales_of_a_float8_weight_are_said_not_to_be_applied():
    weight = TensorRef("", "fc.weight", (256, 128), "float8_e4m3fn", 256 * 128)
    found = weights({weight.name: weight, **refs({"fc.weight_scale_inv": (2, 1)})})
    assert found[0].note == (
        "float8 beside 'fc.weight_scale_inv': the numbers are of the unscaled values"
    )


def test_spectral_norm_twice_is_a_stack_in_order():
    shapes = {P + "original": (5, 7), P + "0._u": (5,), P + "0._v": (7,),
              P + "1._u": (5,), P + "1._v": (7,)}  # fmt: skip
    state = only(shapes)
    assert [norm.family for norm in state.stack] == ["spectral", "spectral"]
    assert state.stack[1].parts["u"].key == P + "1._u"


def test_spectral_norm_on_weight_norm_is_a_stack():
    shapes = {P + "original0": (5, 1), P + "original1": (5, 7),
              P + "1._u": (5,), P + "1._v": (7,)}  # fmt: skip
    state = only(shapes)
    assert [norm.family for norm in state.stack] == ["weight", "spectral"]
    assert state.family == "spectral"


def test_sections_do_not_mix():
    found = weights({**refs({"w.weight_g": (5, 1)}, "G"), **refs({"w.weight_v": (5, 7)}, "D")})
    assert {weight.problem for weight in found} == {
        "'w.weight_g' stands alone, expected 'w.weight_v' (weight norm) as well",
        (
            "'w.weight_v' stands alone, expected 'w.weight_g' (weight norm) or "
            "'w.weight_orig' and 'w.weight_u' (spectral norm) as well"
        ),
    }


def test_weights_come_in_checkpoint_order_and_every_tensor_once():
    shapes = {"a.weight": (2, 2), "b.weight_u": (5,), "c.weight": (3, 3), "b.weight_orig": (5, 7),
              "b.weight_v": (7,), "d.bias": (4,)}  # fmt: skip
    found = weights(refs(shapes))
    assert [weight.key for weight in found] == ["a.weight", "b.weight", "c.weight", "d.bias"]


def test_reading_a_header_needs_no_torch():
    code = "import sys, normcli.reparam; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
