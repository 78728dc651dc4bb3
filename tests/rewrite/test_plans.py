"""What becomes of every weight, decided from names, shapes and dtypes alone."""

from __future__ import annotations

import pytest
from rewrite_headers import header, keys, opened, planned

from normcli.errors import CheckpointError, NormcliError, UsageError
from normcli.rewrite import check_free

PLAIN = header(("fc.weight", (5, 7)), ("fc.bias", (5,)))
LEGACY = header(
    ("fc.bias", (5,)), ("fc.weight_orig", (5, 7)), ("fc.weight_u", (5,)), ("fc.weight_v", (7,))
)
PARAMETRIZED = header(
    ("fc.bias", (5,)),
    ("fc.parametrizations.weight.original", (5, 7)),
    ("fc.parametrizations.weight.0._u", (5,)),
    ("fc.parametrizations.weight.0._v", (7,)),
)
WEIGHT_NORM = header(("up.weight_g", (4, 1, 1)), ("up.weight_v", (4, 3, 2)))


def _only(plan):
    (step,) = plan.steps
    return step


@pytest.mark.parametrize(
    ("norm", "layout", "expected"),
    [
        ("spectral", None, {"original", "0._u", "0._v"}),
        ("spectral", "parametrized", {"original", "0._u", "0._v"}),
        ("weight", None, {"original0", "original1"}),
    ],
)
def test_a_plain_file_gets_the_parametrized_layout(norm, layout, expected):
    step = _only(planned("apply", PLAIN, norm=norm, layout=layout))
    stem = "fc.parametrizations.weight."
    assert set(keys(step)) == {stem + leaf for leaf in expected}
    kept = [key for key, name in keys(step).items() if name == "fc.weight"]
    assert kept == [stem + ("original" if norm == "spectral" else "original1")]


@pytest.mark.parametrize("states", [LEGACY, WEIGHT_NORM])
def test_a_file_with_legacy_states_gets_more_of_them(states):
    step = _only(planned("apply", {**states, **header(("new.weight", (5, 7)))}))
    assert set(keys(step)) == {"new.weight_orig", "new.weight_u", "new.weight_v"}


def test_a_file_with_both_layouts_has_to_be_told_which():
    both = {**WEIGHT_NORM, **PARAMETRIZED, **header(("new.weight", (2, 2)))}
    with pytest.raises(UsageError) as error:
        planned("apply", both)
    assert error.value.where == "--layout"


@pytest.mark.parametrize(
    ("key", "shape", "dtype"),
    [
        ("bn.weight", (8,), "float32"),
        ("x.running_mean", (8, 8), "float32"),
        ("x.scale", (8, 8), "float32"),
        ("x.weight", (8, 8), "int8"),
        ("x.weight", (8, 8), "float8_e4m3fn"),
        ("x.weight", (8, 8), "complex64"),
        ("x.weight_scale_inv", (2, 2), "float32"),
    ],
)
def test_what_is_no_weight_of_a_layer_is_not_taken(key, shape, dtype):
    tensors = {**PLAIN, **header((key, shape), dtype=dtype)}
    assert [step.name for step in planned("apply", tensors).steps] == ["fc.weight"]
    with pytest.raises(UsageError, match="not a floating weight"):
        planned("apply", tensors, include=(key,))


@pytest.mark.parametrize("leaf", ["weight", "weight_hh_l0", "in_proj_weight"])
def test_the_names_that_torch_gives_weights_are_taken(leaf):
    step = _only(planned("apply", header((f"m.{leaf}", (4, 6)))))
    assert set(keys(step)) == {
        f"m.parametrizations.{leaf}.{part}" for part in ("original", "0._u", "0._v")
    }


def test_a_normalized_weight_is_left_with_its_reason_and_an_error_where_it_is_named():
    plan = planned("apply", {**LEGACY, **header(("new.weight", (2, 2)))})
    assert [(each.name, each.reason) for each in plan.left] == [
        ("fc.weight", "already under a norm (spectral legacy)")
    ]
    with pytest.raises(UsageError, match=r"'fc.weight' cannot be taken: already under a norm"):
        planned("apply", LEGACY, include=("fc.weight",))


def test_a_spectral_norm_stacks_on_a_parametrized_one_with_the_next_index():
    step = _only(planned("apply", PARAMETRIZED, stack=True))
    new = set(keys(step)) - set(PARAMETRIZED)
    assert new == {"fc.parametrizations.weight.1._u", "fc.parametrizations.weight.1._v"}
    assert str(step.after) == "spectral+spectral parametrized"


@pytest.mark.parametrize(
    ("tensors", "options"),
    [(LEGACY, {}), (WEIGHT_NORM, {}), (PARAMETRIZED, {"norm": "weight"})],
)
def test_nothing_stacks_that_torch_cannot_stack(tensors, options):
    plan = planned("apply", tensors, stack=True, **options)
    assert not plan.steps
    assert len(plan.left) == 1


@pytest.mark.parametrize(("axis", "sizes"), [(1, (7, 5)), (-1, (7, 5)), (-2, (5, 7))])
def test_a_row_axis_from_outside_decides_the_lengths_of_u_and_v(axis, sizes):
    step = _only(planned("apply", PLAIN, dims={"*": axis}))
    assert tuple(given.ref.shape[0] for given in step.gives if not given.kept) == sizes


def test_one_norm_over_the_whole_tensor_has_a_g_without_axes():
    step = _only(planned("apply", PLAIN, norm="weight", dims={"*": None}))
    assert step.gives[0].ref.shape == ()


@pytest.mark.parametrize("dims", [{"*": 2}, {"*": -3}, {"*": None}])
def test_an_axis_that_cannot_be_the_rows_is_an_error(dims):
    with pytest.raises(UsageError) as error:
        planned("apply", PLAIN, dims=dims)
    assert error.value.where == "--dim"


def test_a_pattern_that_matches_nothing_is_an_error():
    for verb in ("apply", "remove", "convert", "refresh"):
        with pytest.raises(UsageError, match="matches none of"):
            planned(verb, LEGACY, include=("conv*",))


def test_a_key_that_is_taken_already_is_an_error_before_anything_is_read():
    tensors = header(("fc.weight", (5, 7)), ("fc.weight_mask_u", (5,)), ("fc.weight_u", (3,)))
    plan = planned("apply", tensors, layout="legacy")
    with pytest.raises(CheckpointError, match=r"would be stored as 'fc.weight_u', which is there"):
        check_free(opened(tensors), plan.steps)


def test_removal_gives_the_plain_weight_in_place_of_all_parts():
    step = _only(planned("remove", LEGACY))
    assert keys(step) == {"fc.weight": None}
    assert {ref.key for ref in step.takes} == set(LEGACY) - {"fc.bias"}


def test_restoring_keeps_the_bytes_of_the_original():
    assert keys(_only(planned("remove", LEGACY, restore=True))) == {"fc.weight": "fc.weight_orig"}
    with pytest.raises(UsageError, match="keeps no original"):
        planned("remove", WEIGHT_NORM, restore=True)


@pytest.mark.parametrize("verb", ["remove", "refresh"])
def test_a_state_that_nobody_can_tell_is_an_error_until_it_is_excluded(verb):
    tensors = {**LEGACY, **header(("o.parametrizations.weight.original", (4, 4)))}
    with pytest.raises(CheckpointError) as error:
        planned("remove", tensors)
    assert "--exclude 'o.weight'" in error.value.hint
    assert [step.name for step in planned(verb, tensors, exclude=("o.weight",)).steps] == [
        "fc.weight"
    ]


@pytest.mark.parametrize(
    ("tensors", "layout", "expected"),
    [
        (LEGACY, "parametrized", PARAMETRIZED),
        (PARAMETRIZED, "legacy", LEGACY),
    ],
)
def test_respelling_renames_every_part_at_its_place_and_makes_nothing(tensors, layout, expected):
    step = _only(planned("convert", tensors, layout=layout))
    assert [given.ref.key for given in step.gives] == [k for k in expected if k != "fc.bias"]
    assert all(given.kept == given.place for given in step.gives)
    assert not planned("convert", expected, layout=layout).steps


def test_without_a_layout_only_what_torch_does_not_load_any_more_is_respelled():
    version_0 = header(("a.weight_orig", (5, 7)), ("a.weight", (5, 7)), ("a.weight_u", (5,)))
    step = _only(planned("convert", {**PARAMETRIZED, **version_0}))
    assert keys(step) == {
        "a.weight_orig": "a.weight_orig", "a.weight_u": "a.weight_u", "a.weight_v": None
    }  # fmt: skip


def test_a_stack_and_a_vector_have_no_other_spelling():
    stacked = {
        **PARAMETRIZED,
        **header(
            ("fc.parametrizations.weight.1._u", (5,)), ("fc.parametrizations.weight.1._v", (7,))
        ),
    }
    vector = header(("a.bias_orig", (5,)), ("a.bias_u", (5,)), ("a.bias_v", (1,)))
    for tensors, layout in ((stacked, "legacy"), (vector, "parametrized")):
        with pytest.raises(NormcliError):
            planned("convert", tensors, layout=layout)


def test_refreshing_replaces_u_and_v_and_nothing_else():
    step = _only(planned("refresh", PARAMETRIZED))
    assert {ref.key.rpartition(".")[2] for ref in step.takes} == {"_u", "_v"}
    assert all(given.ref.name == given.place and not given.kept for given in step.gives)
