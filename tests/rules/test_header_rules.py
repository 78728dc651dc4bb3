"""What the header tells: stored how, what is missing, what was not looked at."""

import pytest
from rule_records import demand, finding, findings, normed, spectral, unknown, weight, weight_norm

from normcli.commands.choice import FLAT
from normcli.formats.optimizers import OPTIMIZER
from normcli.records import ITEMSIZE, MEASURABLE, Opaque, Skipped, StateValues


def test_no_norm_stands_where_plain_is_demanded():
    found = finding(demand("layout", layout="plain"), normed(spectral()))
    assert found.message == "is stored as spectral legacy, expected plain"
    assert found.fix == "normcli remove PATH --include fc.weight"
    assert not findings(demand("layout", layout="plain"), weight())
    assert not findings(demand("layout", layout="plain"), normed(StateValues("pruning", "legacy")))
    assert findings(demand("layout", layout="plain"), unknown())


def test_a_pattern_that_means_plain_weights_is_no_idle_one():
    assert not findings(demand("layout", "fc.*", layout="plain"), weight())


def test_every_norm_of_a_stack_is_of_the_layout():
    state = StateValues(
        "spectral", "legacy", stack=(weight_norm(layout="parametrized"), spectral())
    )
    found = finding(demand("layout", layout="legacy"), normed(state))
    assert found.message == "is stored as weight parametrized, expected legacy"


def test_a_state_in_two_layouts_is_in_none():
    state = StateValues("unknown", "legacy")
    each = normed(state, problem="stored in two layouts, legacy and parametrized, expected one")
    assert findings(demand("layout", layout="legacy"), each)


@pytest.mark.parametrize("wanted", ["float16", ["float16", "bfloat16"], ("float16", "bfloat16")])
def test_a_dtype_is_one_of_those_demanded(wanted):
    asked = demand("dtype", dtype=wanted)
    assert not findings(asked, weight(dtype="float16"))
    found = finding(asked, weight())
    assert found.message.startswith("is float32, expected float16")


@pytest.mark.parametrize(
    ("shape", "wanted", "broken"),
    [
        ((8, 4), [8, 4], False),
        ((8, 4), [-1, -1], False),
        ((8, 4), [8], True),
        ((8,), [-1], False),
        ((), [], False),
        ((1,), [], True),
        ((8, 4), [4, 8], True),
    ],
)
def test_a_shape_is_that_demanded(shape, wanted, broken):
    assert bool(findings(demand("shape", shape=wanted), weight(shape=shape))) is broken


def test_a_missing_weight_is_one_finding_with_the_severity_of_its_demand():
    asked = demand("required", "fc.*", "head.weight", severity="warning")
    found = finding(asked, weight())
    assert found.message == "'head.weight' is required and missing"
    assert found.severity == "warning"


def test_a_vector_or_a_skipped_tensor_is_not_missing():
    assert not findings(demand("required", "fc.bias"), weight("fc.bias", shape=(8,)))
    skipped = (Skipped("G/bn.num_batches_tracked", "int64: norms are of floating-point weights"),)
    assert not findings(demand("required", "bn.*"), skipped=skipped)
    assert findings(demand("required", "cn.*"), skipped=skipped)


def test_a_demand_that_requires_nothing_is_a_finding():
    assert "names no weights" in finding(demand("required"), weight()).message


def test_a_requirement_may_be_optional():
    assert not findings(demand("required", "head.*", optional=True), weight())


def test_every_foreign_object_is_named():
    opaque = (Opaque("os.system", 1, ""), Opaque("argparse.Namespace", 2, "hyper_parameters.args"))
    first, second = findings(demand("foreign-objects"), weight(), opaque=opaque)
    assert first.message == "holds 'os.system' (1), neither a tensor nor plain data"
    assert "'argparse.Namespace' (2, at 'hyper_parameters.args')" in second.message


def test_the_name_of_a_foreign_object_cannot_write_a_line_of_its_own():
    opaque = (Opaque("x\n::error::y", 1, "\x1b[31m"),)
    assert finding(demand("foreign-objects"), opaque=opaque).message.isprintable()


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (OPTIMIZER, False),
        (FLAT, False),
        *(
            (f"{dtype}: norms are of floating-point weights", dtype.startswith(("float", "comp")))
            for dtype in sorted(ITEMSIZE.keys() - MEASURABLE)
        ),
        ("sparse tensor", True),
        ("quantized tensor", True),
        ("TorchScript constants", True),
        ("dtype F6_E2M3, which torch has no tensor of", True),
    ],
)
def test_what_no_rule_could_look_at_is_said(reason, expected):
    found = findings(demand("coverage"), weight(), skipped=(Skipped("x", reason),))
    assert bool(found) is expected
    assert all(each.weight == "x" and reason in each.message for each in found)


def test_a_checkpoint_without_tensors_never_passes():
    optimizer = (Skipped("optimizer/…", OPTIMIZER),)
    found = finding(demand("coverage"), skipped=optimizer)
    assert (found.severity, found.weight) == ("error", "")


def test_a_coverage_of_some_names_is_of_these_only():
    skipped = (Skipped("G/x", "sparse tensor"), Skipped("D/x", "sparse tensor"))
    found = finding(demand("coverage", "D/*"), weight("w"), skipped=skipped)
    assert found.weight == "D/x"
