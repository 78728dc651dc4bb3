"""The text of a baseline, and what is refused when it is read."""

import json
import math
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from normcli.errors import UsageError
from normcli.gate.baseline import baseline_text, file_name, read_baseline, recorded
from normcli.records import ITEMSIZE, Measurement, Recorded, Report, SpectralNorm, StateValues

SCHEMA = json.loads(files("normcli.gate").joinpath("baseline.schema.json").read_text("utf-8"))
CONV = Recorded((64, 32, 3, 3), "float32", "spectral legacy", 6.1, 1.016, 36.0469)
GOLDEN = """\
{"schema": "normcli.baseline", "schema_version": 1, "checkpoints": {
"empty.pt": {
},
"gan.pt": {
 "D/a.weight": {"shape": [2, 3], "dtype": "bfloat16", "frobenius": "nan", "spectral_norm": "nan"},
 "D/conv.weight": {"shape": [64, 32, 3, 3], "dtype": "float32", "state": "spectral legacy", \
"frobenius": 6.1, "spectral_norm": 1.016, "stable_rank": 36.0469},
 "gr\\u00f6\\u00dfe": {"shape": [0, 4], "dtype": "float16", "state": "unknown parametrized"}
}
}}
"""
HELD = {
    "gan.pt": {
        "größe": Recorded((0, 4), "float16", "unknown parametrized"),
        "D/conv.weight": CONV,
        "D/a.weight": Recorded((2, 3), "bfloat16", "", math.nan, math.nan),
    },
    "empty.pt": {},
}

# No surrogates: two of them that stand side by side are one letter after JSON.
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["\0\n\r\t\x1b[31m", "\u2028\u2029\x85", 'a"b\\', "<<<<<<< ours", "a" * 70_000, "\ud800"]
)
numbers = st.none() | st.floats(min_value=0) | st.just(math.nan)
entries = st.builds(
    Recorded,
    st.lists(st.integers(0, 2**63 - 1), max_size=5).map(tuple),
    st.sampled_from(sorted(ITEMSIZE)),
    st.sampled_from(["", "spectral legacy", "weight parametrized+spectral parametrized"]),
    numbers,
    numbers,
    numbers,
)
baselines = st.dictionaries(names, st.dictionaries(names, entries, max_size=4), max_size=3)


def baseline(tmp_path, content):
    path = tmp_path / "normcli-baseline.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(tmp_path, content):
    path = baseline(tmp_path, content)
    with pytest.raises(UsageError) as caught:
        read_baseline(path)
    assert caught.value.where == str(path)
    return caught.value


def document(**changes):
    weight = {"shape": [2, 2], "dtype": "float32", "frobenius": 1.5, **changes}
    kept = {name: value for name, value in weight.items() if value is not None}
    held = {"schema": "normcli.baseline", "schema_version": 1}
    return json.dumps({**held, "checkpoints": {"gan.pt": {"D/w": kept}}})


def measured(key="w", section="", shape=(4, 4), dtype="float32", **more):
    return Measurement(section, key, shape, dtype, math.prod(shape), **more)


def test_the_text_is_the_golden_one():
    assert baseline_text(HELD) == GOLDEN


def test_the_schema_is_valid_and_holds_the_golden_text():
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(json.loads(GOLDEN))


@given(baselines)
def test_every_text_is_held_by_the_schema_and_says_what_it_was_given(held):
    text = baseline_text(held)
    content = json.loads(text, object_pairs_hook=unique_pairs)
    Draft202012Validator(SCHEMA).validate(content)
    assert {name: set(weights) for name, weights in content["checkpoints"].items()} == {
        name: set(weights) for name, weights in held.items()
    }
    for name, weights in held.items():
        for weight, entry in weights.items():
            line = content["checkpoints"][name][weight]
            assert tuple(line["shape"]) == entry.shape
            for field in ("frobenius", "spectral_norm", "stable_rank"):
                assert repr(float(line.get(field, -1))) == repr(
                    float(-1 if getattr(entry, field) is None else getattr(entry, field))
                )


def unique_pairs(pairs):
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


@given(baselines)
def test_every_weight_has_a_line_of_its_own_and_they_are_sorted(held):
    text = baseline_text(held)
    assert text.isascii()
    lines = text.split("\n")
    assert not any(line.endswith(" ") or "\r" in line for line in lines)
    weights = [json.loads(f"{{{line.rstrip(',')}}}") for line in lines if line.startswith(" ")]
    assert [next(iter(each)) for each in weights] == [
        weight for name in sorted(held) for weight in sorted(held[name])
    ]


@given(baselines)
def test_reading_gives_what_was_written(tmp_path_factory, held):
    path = baseline(tmp_path_factory.mktemp("read"), baseline_text(held))
    assert repr(sorted_all(read_baseline(path))) == repr(sorted_all(held))  # NaN is not NaN
    assert baseline_text(read_baseline(path)) == baseline_text(held)


def sorted_all(held):
    return sorted((name, sorted(weights.items(), key=str)) for name, weights in held.items())


@given(baselines)
def test_the_order_in_which_weights_come_changes_nothing(held):
    turned = {name: dict(reversed(held[name].items())) for name in reversed(held)}
    assert baseline_text(turned) == baseline_text(held)


@given(st.floats(min_value=0, allow_infinity=False))
def test_numbers_have_six_significant_digits(value):
    norm = SpectralNorm(value, value, value, 0.0, "vector", 1)
    weight = measured(frobenius=value, spectral_norm=norm, stable_rank=value)
    entry = recorded(Report("a.pt", "torch-zip", (), (weight,)))["w"]
    for found in (entry.frobenius, entry.spectral_norm, entry.stable_rank):
        assert found == float(f"{value:.5e}")
        assert len(repr(found).partition("e")[0].replace(".", "").strip("0")) <= 6


def test_not_finite_norms_are_words():
    assert json.loads(document(frobenius="nan"))  # the schema knows them, too
    weight = measured(frobenius=math.inf, stable_rank=math.nan)
    entry = recorded(Report("a.pt", "torch-zip", (), (weight,)))
    line = json.loads(baseline_text({"a.pt": entry}))["checkpoints"]["a.pt"]["w"]
    assert (line["frobenius"], line["stable_rank"]) == ("inf", "nan")


def test_vectors_and_integers_are_not_recorded_but_every_norm_state_is():
    state = StateValues("weight", "legacy", 0)
    weights = (
        measured("bias", shape=(4,)),
        measured("count", dtype="int64"),
        measured("gain", shape=(4,), state=state),
        measured("w", "D", (4, 4)),
    )
    found = recorded(Report("a.pt", "torch-zip", (), weights))
    assert {name: entry.state for name, entry in found.items()} == {
        "gain": "weight legacy",
        "D/w": "",
    }


def test_stacked_norms_are_joined_in_order():
    stack = (StateValues("weight", "parametrized", 0), StateValues("spectral", "parametrized", 0))
    state = StateValues("spectral", "parametrized", 0, stack=stack)
    found = recorded(Report("a.pt", "torch-zip", (), (measured(state=state),)))
    assert found["w"].state == "weight parametrized+spectral parametrized"


@pytest.mark.parametrize("path", ["gan.pt", "a/gan.pt", "/x/y/../gan.pt", "gan.pt/", "b/../gan.pt"])
def test_a_checkpoint_is_known_by_the_last_part_of_its_path(path):
    assert file_name(path) == "gan.pt"


def test_a_folder_that_is_here_is_known_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert file_name(".") == tmp_path.name


def test_a_link_is_known_by_its_own_name(tmp_path):
    (tmp_path / "blob").write_bytes(b"")
    (tmp_path / "model.pt").symlink_to("blob")
    assert file_name(tmp_path / "model.pt") == "model.pt"


def test_a_missing_file_says_how_to_write_it(tmp_path):
    with pytest.raises(UsageError, match="there is no such baseline") as caught:
        read_baseline(tmp_path / "none.json")
    assert "normcli baseline write" in caught.value.hint


@pytest.mark.parametrize("path", [".", "a\0b"])
def test_a_path_that_cannot_be_read_is_refused(path):
    with pytest.raises(UsageError):
        read_baseline(path)


@pytest.mark.parametrize("mark", ["<<<<<<< HEAD", "=======", ">>>>>>> main", "||||||| base"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_merge_conflict_is_named_with_its_line(tmp_path, mark, end):
    lines = GOLDEN.splitlines()
    error = refusal(tmp_path, end.join([*lines[:4], mark, *lines[4:]]))
    assert error.message == "line 5 is the mark of a merge conflict, expected JSON"
    assert "normcli baseline update" in error.hint


def test_the_mark_of_a_conflict_in_a_name_is_none(tmp_path):
    held = {"<<<<<<< ours": {"=======": CONV}}
    assert read_baseline(baseline(tmp_path, baseline_text(held))) == held


HOSTILE = {
    "": "is not JSON",
    "{": "is not JSON",
    "[]": "the baseline is a list, expected an object",
    "null": "the baseline is 'None', expected an object",
    "\xff": "is not JSON",
    "[" * 200_000: "nests too deep",
    '{"schema": ' + "[" * 500 + "]" * 500 + ', "schema_version": 1, "checkpoints": {}}': (
        "'schema' is a list"
    ),
    '{"schema": "normcli.baseline", "schema_version": 1}': "has no 'checkpoints'",
    GOLDEN.replace("normcli.baseline", "normcli.report"): "expected 'normcli.baseline'",
    GOLDEN.replace('version": 1', 'version": 2'): "'schema_version' is '2', expected 1",
    GOLDEN.replace('version": 1', 'version": true'): "'schema_version' is 'True'",
    GOLDEN.replace('version": 1', 'version": 1.0'): "'schema_version' is '1.0'",
    GOLDEN.replace('"empty.pt": {', '"gan.pt": {'): "key 'gan.pt' comes twice",
    GOLDEN.replace("D/a.weight", "D/conv\\u002eweight"): "key 'D/conv.weight' comes twice",
    GOLDEN.replace('"gan.pt": {', '"gan.pt": [], "x": {'): "'gan.pt' is a list",
    GOLDEN.replace("{", "{ ").replace("}\n}}", "}},}"): "is not JSON",
    GOLDEN.replace('"schema":', '"host": "x", "schema":'): "has a field 'host'",
    GOLDEN.replace("6.1", "NaN"): "NaN is not a JSON number",
    GOLDEN.replace("6.1", "9" * 5000): "holds a number of thousands of digits",
    document(dtype=None): "'D/w' of 'gan.pt' has no 'dtype'",
    document(shape=None): "'D/w' of 'gan.pt' has no 'shape'",
    document(digest="0"): "'D/w' of 'gan.pt' has a field 'digest'",
    document(shape=[2, -1]): "'shape' of 'D/w' of 'gan.pt' is a list",
    document(shape=[2.0]): "'shape'",
    document(shape=[True]): "'shape'",
    document(shape=[2**63]): "'shape'",
    document(shape="2x2"): "'shape' of 'D/w' of 'gan.pt' is '2x2', expected a list of sizes",
    document(dtype="float31"): "'dtype' of 'D/w' of 'gan.pt' is 'float31'",
    document(dtype=["float32"]): "'dtype'",
    document(state=7): "'state'",
    document(frobenius=-1.0): "'frobenius' of 'D/w' of 'gan.pt' is '-1.0'",
    document(frobenius="NaN"): "'frobenius'",
    document(frobenius="-inf"): "'frobenius'",
    document(frobenius=True): "'frobenius'",
    document(stable_rank=[]): "'stable_rank'",
    document().replace("1.5", "1e999"): "'frobenius' of 'D/w' of 'gan.pt' is 'inf', expected",
    document().replace("1.5", "9" * 400): "'frobenius'",
    document().replace("1.5", "null"): "'frobenius' of 'D/w' of 'gan.pt' is 'None'",
}


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_baseline_is_refused_with_the_place(tmp_path, content):
    assert HOSTILE[content] in refusal(tmp_path, content).message


def test_bytes_that_are_no_utf_8_are_refused(tmp_path):
    assert "is not UTF-8 at byte 1" in refusal(tmp_path, b'"\xff"').message


def test_a_message_holds_no_control_character_and_no_megabyte_of_a_name(tmp_path):
    name = "\x1b[31m\n" + "x" * 1_000_000
    message = refusal(
        tmp_path, document().replace("D/w", json.dumps(name)[1:-1]).replace('"float32"', "3")
    ).message
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero here")
def test_a_file_that_never_ends_is_refused():
    with pytest.raises(UsageError, match="has more than"):
        read_baseline("/dev/zero")


def test_a_memory_bomb_is_refused_before_it_is_parsed(tmp_path):
    error = refusal(tmp_path, b"[" + b"0," * 5_000_000 + b"0]")
    assert "MB of memory" in error.message
    assert not error.hint  # no option of a baseline raises the limit
