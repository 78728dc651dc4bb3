"""safetensors files out: the bytes of the reference writer, from an input of any format."""

from __future__ import annotations

import argparse
import io
import json
import struct
import subprocess
import sys
import tempfile
import textwrap
import zlib
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from produced import converted
from reader_tests import DTYPES, assert_bit_equal, random_bytes, raw_bytes
from safetensors import safe_open
from safetensors.torch import load_file, load_model, save, save_file, save_model

from normcli.errors import CheckpointError, OutputError, RefusedError, UsageError
from normcli.formats import Draft, blueprint, open_checkpoint
from normcli.formats.tied import ties
from normcli.records import Given, TensorRef

torch.set_num_threads(1)

HELD = tuple(dtype for dtype in DTYPES if dtype != torch.complex128)
PT = {"format": "pt"}


def metadata_of(path):
    with safe_open(path, "pt") as file:
        return file.metadata()


def line(name, shape, dtype="float32", **more):
    nbytes = torch.Size(shape).numel() * getattr(torch, dtype).itemsize
    return TensorRef("", name, shape, dtype, nbytes, **more)


def kept(old, new):
    return Given(new, old, kept=old)


@pytest.fixture
def saved(tmp_path):
    """Write an object with torch, or tensors with safetensors, and give the path."""

    def write(value, name="in.pt", **options):
        path = tmp_path / name
        if path.suffix == ".safetensors":
            save_file(value, path, **options)
        else:
            torch.save(value, path, **options)
        return path

    return write


@pytest.fixture
def target(tmp_path):
    return tmp_path / "out.safetensors"


def every_dtype():
    return {
        f"{name} {number}": random_bytes(shape, dtype, seed=number)
        for number, dtype in enumerate(reversed(HELD))
        for name, shape in (("w", (3, 5)), ("empty", (0, 3)), ("scalar", ()))
    }


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_torch_file_becomes_the_bytes_of_the_reference_writer(saved, target, legacy):
    tensors = every_dtype()
    if legacy:  # which torch has no storage of the others in
        tensors = {name: each for name, each in tensors.items() if each.dtype.itemsize > 1}
        tensors = {n: t for n, t in tensors.items() if not str(t.dtype).startswith("torch.uint")}
    source = saved(tensors, _use_new_zipfile_serialization=not legacy)
    planned = converted(source, target)
    assert target.read_bytes() == save(tensors, PT)
    assert planned.format == "safetensors"
    assert planned.dropped == planned.notes == ()


def test_a_safetensors_file_comes_back_byte_by_byte(saved, target):
    source = saved(every_dtype(), "in.safetensors", metadata=dict(PT))
    converted(source, target)
    assert target.read_bytes() == source.read_bytes()


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
TENSORS = st.builds(
    random_bytes,
    st.lists(st.integers(0, 4), max_size=3).map(tuple),
    st.sampled_from(HELD),
    st.integers(0, 100),
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, TENSORS, max_size=8))
def test_any_state_dict_is_written_as_the_reference_writer_does(tensors):
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.pt", Path(folder) / "out.safetensors"
        torch.save(tensors, source)
        converted(source, target, drop_opaque=True)  # an empty dict is a leftover
        assert target.read_bytes() == save(tensors, PT)
        for name, tensor in load_file(target).items():
            assert_bit_equal(tensor, tensors[name])


def test_metadata_is_sorted_so_that_one_input_has_one_output(tmp_path):
    outputs = set()
    for number, keys in enumerate((["b", "a", "format", "c"], ["c", "format", "b", "a"])):
        raw = json.dumps({"__metadata__": dict.fromkeys(keys, "é\n"), "x": entry([2], 0, 8)})
        source = tmp_path / f"{number}.safetensors"
        source.write_bytes(struct.pack("<Q", len(raw)) + raw.encode() + bytes(8))
        converted(source, tmp_path / "out.safetensors")
        outputs.add((tmp_path / "out.safetensors").read_bytes())
    assert len(outputs) == 1
    assert metadata_of(tmp_path / "out.safetensors") == dict.fromkeys("abc", "é\n") | {
        "format": "é\n"
    }


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def strided():
    base = torch.arange(24.0)
    return {
        "transposed": base.clone().reshape(4, 6).t(),
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "every second": base.clone()[::2],
        "inner": base.clone().reshape(4, 6)[1:3, 2:4],
        "row of one": torch.randn(1, 7).t(),
        "slice": base.clone()[3:9],
    }


def test_tensors_that_are_not_contiguous_are_written_contiguous(saved, target):
    tensors = strided()
    converted(saved(tensors), target)
    assert target.read_bytes() == save({k: v.contiguous() for k, v in tensors.items()}, PT)


def test_a_large_tensor_is_written_piece_by_piece(saved, target):
    tensors = {
        "large": random_bytes((1500, 700), torch.float32),
        "turned": torch.randn(900, 700).t(),
    }
    converted(saved(tensors), target)
    assert target.read_bytes() == save({k: v.contiguous() for k, v in tensors.items()}, PT)


class Trickle(io.BytesIO):
    """Takes a few bytes at once, as a file may."""

    def write(self, data):
        return super().write(bytes(data[:1000]))


def test_a_file_that_takes_few_bytes_at_once_gets_all_of_them(saved):
    tensors = {"a": torch.randn(50, 30), "b": torch.randn(40, 20).t()}
    with open_checkpoint(saved(tensors)) as checkpoint:
        out = Trickle()
        checksums = blueprint(checkpoint, Draft(), "safetensors").files[0].write(out, {}.get)
    assert out.getvalue() == save({k: v.contiguous() for k, v in tensors.items()}, PT)
    assert checksums == {name: zlib.crc32(raw_bytes(each)) for name, each in tensors.items()}


def test_the_blueprint_lists_what_opening_the_output_shows(saved, target):
    planned = converted(
        saved({"z": torch.zeros(2), "a": torch.zeros(2), "n": torch.tensor(3)}), target
    )
    with open_checkpoint(target) as checkpoint:
        assert dict(checkpoint.tensors) == dict(planned.tensors)
        assert list(checkpoint.tensors) == list(planned.tensors) == ["n", "a", "z"]


# Names and sections


def test_sections_become_prefixes_of_names(saved, target):
    tensors = {
        "G": {"a.b": torch.ones(1)},
        "deep": {"er": {"c": torch.ones(2)}},
        "d": torch.ones(3),
    }
    planned = converted(saved(tensors), target)
    assert {k: v.numel() for k, v in load_file(target).items()} == {
        "G.a.b": 1,
        "deep.er.c": 2,
        "d": 3,
    }
    assert planned.notes == (
        "the containers of the tensors became prefixes of their names: 'G.', 'deep.er.'",
    )


def test_two_tensors_of_one_name_are_an_error(saved):
    source = saved({"a": {"b.c": torch.ones(1)}, "a.b": {"c": torch.ones(1)}})
    with open_checkpoint(source) as checkpoint, pytest.raises(CheckpointError) as caught:
        blueprint(checkpoint, Draft(), "safetensors")
    assert caught.value.message == "'a/b.c' and 'a.b/c' would both be named 'a.b.c'"
    assert ".pt" in caught.value.hint
    assert caught.value.where == str(source)


BAD = [
    ("complex128", {"w": torch.zeros(2, dtype=torch.complex128)}, "'w' has dtype complex128"),
    (
        "float4",
        {"w": torch.zeros(2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)},
        "float4_e2m1",
    ),
    ("half of a character", {"\ud800": torch.zeros(2)}, "not Unicode text"),
    ("the name of the metadata", {"__metadata__": torch.zeros(2)}, "is a name that safetensors"),
    ("no name", {"": torch.zeros(2)}, "is a name that safetensors does not have"),
    ("an overlapping view", {"w": torch.zeros(9).as_strided((3, 3), (2, 2))}, "'w' is not written"),
]


@pytest.mark.parametrize(("value", "fragment"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_what_the_format_does_not_have_is_an_error_with_a_hint(saved, value, fragment):
    with open_checkpoint(saved(value)) as checkpoint, pytest.raises(CheckpointError) as caught:
        blueprint(checkpoint, Draft(), "safetensors")
    assert fragment in caught.value.message
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_tensor_that_the_format_lacks_may_be_replaced(saved, target):
    source = saved({"w": torch.zeros(2, dtype=torch.complex128), "v": torch.zeros(3)})
    planned = converted(source, target, places={"w": ()})
    assert list(planned.tensors) == list(load_file(target)) == ["v"]


def test_an_unknown_format_is_an_error_that_names_the_known_ones(saved):
    with open_checkpoint(saved({})) as checkpoint, pytest.raises(UsageError) as caught:
        blueprint(checkpoint, Draft(), "safetensor")
    assert "safetensors" in caught.value.hint


# Content that is no tensor


def trained():
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict()}


def test_plain_data_is_refused_and_named_until_it_may_be_dropped(saved, target):
    source = saved({"w": torch.zeros(1), "epoch": 3, "config": {"lr": 0.1}})
    with open_checkpoint(source) as checkpoint:
        with pytest.raises(RefusedError, match=r"'epoch' \(int\), 'config' \(dict\)") as caught:
            blueprint(checkpoint, Draft(drop_optimizer=True), "safetensors")
        assert "--drop-opaque" in caught.value.hint
    planned = converted(source, target, drop_opaque=True)
    assert [each.name for each in planned.dropped] == ["epoch", "config"]
    assert list(load_file(target)) == ["w"]


@pytest.mark.parametrize("option", ["drop_optimizer", "drop_opaque"])
def test_an_optimizer_state_is_refused_until_it_may_be_dropped(saved, target, option):
    source = saved(trained())
    with open_checkpoint(source) as checkpoint:
        with pytest.raises(RefusedError, match="optimizer state") as caught:
            blueprint(checkpoint, Draft(), "safetensors")
        assert "--drop-optimizer" in caught.value.hint
    planned = converted(source, target, **{option: True})
    assert [each.reason for each in planned.dropped] == ["optimizer state"]
    assert sorted(load_file(target)) == ["model.bias", "model.weight"]


def test_foreign_objects_are_refused_until_they_may_be_dropped(saved, target):
    source = saved({"w": torch.zeros(1), "args": argparse.Namespace(lr=0.1)})
    with (
        open_checkpoint(source, allow_opaque=True) as checkpoint,
        pytest.raises(RefusedError, match=r"argparse\.Namespace"),
    ):
        blueprint(checkpoint, Draft(), "safetensors")
    planned = converted(source, target, drop_opaque=True)
    assert [each.name for each in planned.dropped] == ["args"]


def test_at_most_eight_of_many_leftovers_are_named(saved):
    source = saved({"w": torch.zeros(1), **{f"k{n}": n for n in range(20)}})
    with open_checkpoint(source) as checkpoint, pytest.raises(RefusedError, match="and 12 more"):
        blueprint(checkpoint, Draft(), "safetensors")


# Tied tensors


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.out = torch.nn.Linear(3, 4)
        self.emb = torch.nn.Embedding(4, 3)
        self.emb.weight = self.out.weight
        self.alias = self.out


def test_tied_tensors_are_recorded_as_save_model_does(saved, target, tmp_path):
    model = Tied()
    planned = converted(saved(model.state_dict()), target)
    save_model(model, str(tmp_path / "theirs.safetensors"), metadata=dict(PT))
    theirs = metadata_of(tmp_path / "theirs.safetensors")
    ours = metadata_of(target)
    assert {k: v for k, v in ours.items() if not k.startswith("normcli.")} == theirs
    assert {"emb.weight": "alias.weight"}.items() <= ours.items()
    (note,) = planned.notes
    assert note == (
        "3 tied tensors recorded in __metadata__: 'emb.weight' is 'alias.weight', "
        "'out.bias' is 'alias.bias', 'out.weight' is 'alias.weight'"
    )


def test_load_model_loads_tied_tensors(saved, target):
    model, fresh = Tied(), Tied()
    converted(saved(model.state_dict()), target)
    load_model(fresh, str(target))
    assert fresh.emb.weight is fresh.out.weight
    assert torch.equal(fresh.out.weight, model.out.weight)


def test_views_that_differ_are_written_as_copies(saved, target):
    base = torch.arange(6.0)
    tensors = {"all": base, "half": base[:3], "turned": base.view(2, 3), "again": base}
    converted(saved(tensors), target)
    assert {k: v.tolist() for k, v in load_file(target).items()} == {
        "again": base.tolist(), "half": [0, 1, 2], "turned": [[0, 1, 2], [3, 4, 5]],
    }  # fmt: skip
    assert metadata_of(target) == {"all": "again", **PT}


def test_records_of_an_input_stay_and_tell_the_ties(tmp_path, target):
    save_model(Tied(), str(tmp_path / "in.safetensors"), metadata=dict(PT))
    converted(tmp_path / "in.safetensors", target)
    assert metadata_of(target) == metadata_of(tmp_path / "in.safetensors")
    with open_checkpoint(target) as checkpoint:
        assert ties(checkpoint) == {
            "emb.weight": "alias.weight", "out.weight": "alias.weight", "out.bias": "alias.bias",
        }  # fmt: skip


FOLLOWED = [
    ("renamed alike", [kept("a.w", line("a.w_orig", (2,)))], {"b.w_orig": "a.w_orig"}),
    ("made in its place", [Given(line("a.w", (2,)), "a.w")], {"b.w": "a.w"}),
    ("made under another name", [Given(line("a.x", (2,)), "a.w")], {"b.x": "a.x"}),
    ("split", [Given(line("a.w_g", ()), "a.w"), kept("a.w", line("a.w_v", (2,)))],
     {"b.w_g": "a.w_g", "b.w_v": "a.w_v"}),
    ("gone", [], {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("gives", "records"), [case[1:] for case in FOLLOWED], ids=[case[0] for case in FOLLOWED]
)
def test_a_tensor_left_out_changes_as_its_kept_one(saved, target, gives, records):
    source = saved({"a.w": torch.ones(2)}, "in.safetensors", metadata={"b.w": "a.w", **PT})
    made = {each.ref.name: torch.zeros(each.ref.shape) for each in gives if not each.kept}
    planned = converted(source, target, places={"a.w": tuple(gives)}, made=made)
    assert metadata_of(target) == {**records, **PT}
    assert any("dropped" in note for note in planned.notes) == (not records)


def test_an_unlike_name_left_out_stays_as_long_as_its_bytes_do(saved, target):
    source = saved({"a.w": torch.ones(2)}, "in.safetensors", metadata={"head": "a.w", **PT})
    converted(source, target, places={"a.w": (kept("a.w", line("a.v", (2,))),)})
    assert metadata_of(target) == {"head": "a.v", **PT}
    made = {"a.v": torch.zeros(2)}
    converted(source, target, places={"a.w": (Given(line("a.v", (2,)), "a.w"),)}, made=made)
    assert metadata_of(target) == PT


def test_made_tensors_of_one_storage_are_tied_and_asked_for_once(saved, target):
    tensor = torch.ones(2, 2)
    shared = line("b.w", (3,), storage="s"), line("a.w", (3,), storage="s")
    places = {"x": (Given(shared[0], "x"),), "y": (Given(shared[1], "y"),)}
    source = saved({"x": tensor, "y": tensor})
    planned = converted(source, target, places=places, made={"a.w": torch.arange(3.0)})
    assert planned.files[0].order == ("a.w",)
    assert metadata_of(target) == {"b.w": "a.w", **PT}
    assert load_file(target)["a.w"].tolist() == [0, 1, 2]


def test_a_baked_tensor_is_no_longer_tied(saved, target):
    tensor = torch.ones(2)
    places = {"b": (Given(line("b", (2,)), "b"),)}
    converted(saved({"a": tensor, "b": tensor}), target, places=places, made={"b": torch.zeros(2)})
    assert metadata_of(target) == PT
    assert {k: v.tolist() for k, v in load_file(target).items()} == {"a": [1, 1], "b": [0, 0]}


# Metadata


def test_state_dict_metadata_is_read_back(saved, target):
    model = torch.nn.Sequential(torch.nn.utils.spectral_norm(torch.nn.Linear(3, 2)))
    state = model.state_dict()
    converted(saved(state), target)
    with open_checkpoint(target) as checkpoint:
        assert checkpoint.metadata == {"": dict(state._metadata)}
        assert checkpoint.strings == PT
        assert checkpoint.notes == ()


def test_module_paths_follow_the_names_of_sections(saved, target):
    state = torch.nn.Sequential(torch.nn.BatchNorm1d(2)).state_dict()
    converted(saved({"nets": {"G": state}}), target)
    with open_checkpoint(target) as checkpoint:
        assert checkpoint.metadata == {"": {"nets.G": {"version": 1}, "nets.G.0": {"version": 2}}}


def test_the_draft_replaces_the_metadata_of_a_section(saved, target, tmp_path):
    state = torch.nn.Sequential(torch.nn.BatchNorm1d(2)).state_dict()
    converted(saved({"G": state, "D": state}), target, metadata={"G": {"x": {"version": 7}}})
    with open_checkpoint(target) as checkpoint:
        entries = checkpoint.metadata[""]
    assert entries == {"G.x": {"version": 7}, "D": {"version": 1}, "D.0": {"version": 2}}
    converted(target, tmp_path / "again.safetensors", metadata={"": {}})
    again = metadata_of(tmp_path / "again.safetensors")
    assert {**again, "normcli.state_dict_metadata": ""} == {
        **metadata_of(target), "normcli.state_dict_metadata": "",
    }  # fmt: skip
    assert "normcli.state_dict_metadata" not in again


def test_strings_that_a_torch_file_carries_are_strings_again(saved, target):
    state = torch.nn.Linear(2, 2).state_dict()
    state._metadata[""]["safetensors"] = {"author": "é", "format": "np"}
    converted(saved(state), target)
    with open_checkpoint(target) as checkpoint:
        assert checkpoint.strings == {"author": "é", "format": "np"}
        assert checkpoint.metadata == {"": {"": {"version": 1}}}


def test_metadata_that_is_not_plain_is_left_out_with_a_note(saved, target):
    state = torch.nn.Linear(2, 2).state_dict()
    state._metadata[""]["limit"] = float("inf")
    planned = converted(saved(state), target)
    assert metadata_of(target) == PT
    assert planned.notes == ("the _metadata of the state dict is not plain data and was left out",)


STRANGE = [
    "", "nonsense", "[]", "3", '{"": 3}', '{"G": {}}', '{"": {}, "G": {}}', '{"": {"a": NaN}}',
    '{"": {"a": 1, "a": 2}}', '{"": {"a": ' + "[" * 9 + "]" * 9 + "}}", "[" * 100_000,
    '{"": {"a": 1e999}}', "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("text", STRANGE, ids=lambda text: text[:20].encode("ascii", "replace"))
def test_metadata_that_normcli_did_not_write_is_ignored_with_a_note(opened, text):
    raw = json.dumps({"__metadata__": {"normcli.state_dict_metadata": text}}).encode()
    checkpoint = opened(struct.pack("<Q", len(raw)) + raw, "in.safetensors")
    assert checkpoint.metadata == {}
    assert "was ignored" in checkpoint.notes[0]
    assert "normcli.state_dict_metadata" in checkpoint.strings


# What stands in the places of tensors


def test_made_and_kept_tensors_stand_in_the_places_of_others(saved, target):
    tensors = {"a": torch.ones(2), "w": torch.randn(3, 2), "z": torch.ones(1)}
    gives = (kept("w", line("w_orig", (3, 2))), Given(line("w_u", (3,), "float64"), "w"))
    made = {"w_u": torch.arange(6, dtype=torch.float64)[::2].requires_grad_()}
    planned = converted(saved(tensors), target, places={"w": gives, "z": ()}, made=made)
    assert planned.files[0].order == ("w_u",)
    expected = {"a": tensors["a"], "w_orig": tensors["w"], "w_u": made["w_u"].detach().contiguous()}
    assert target.read_bytes() == save(expected, PT)


def test_a_made_tensor_is_asked_for_by_the_name_of_the_draft(saved, target):
    new = TensorRef("G", "b", (2,), "float32", 8)
    places = {"G/a": (Given(new, "G/a"),)}
    converted(
        saved({"G": {"a": torch.ones(2)}}), target, places=places, made={"G/b": torch.zeros(2)}
    )
    assert list(load_file(target)) == ["G.b"]


def test_a_conjugated_tensor_is_written_as_its_values(saved, target):
    made = {"w": torch.tensor([1 + 2j, 3 - 4j]).conj()}
    places = {"w": (Given(line("w", (2,), "complex64"), "w"),)}
    converted(saved({"w": torch.ones(1)}), target, places=places, made=made)
    assert load_file(target)["w"].tolist() == [1 - 2j, 3 + 4j]


@pytest.mark.parametrize("wrong", [torch.zeros(3), torch.zeros(2, dtype=torch.float64)])
def test_a_made_tensor_that_is_not_as_planned_is_an_error(saved, target, wrong):
    places = {"w": (Given(line("w", (2,)), "w"),)}
    with pytest.raises(OutputError, match="'w' was made as"):
        converted(saved({"w": torch.ones(2)}), target, places=places, made={"w": wrong})


def test_a_damaged_input_is_an_error_that_names_the_tensor(saved, target):
    source = saved({"w": torch.full((300_000,), 7.0)})
    raw = source.read_bytes()
    place = raw.index(struct.pack("<f", 7.0) * 100)
    source.write_bytes(raw[:place] + b"\x01" + raw[place + 1 :])
    with pytest.raises(CheckpointError, match=r"'w': record .* has CRC-32"):
        converted(source, target)


def test_a_blueprint_needs_no_torch(saved):
    source = saved({"G": {"w": torch.ones(2)}})
    program = f"""
        import sys
        from normcli.formats import Draft, blueprint, open_checkpoint
        with open_checkpoint({str(source)!r}) as checkpoint:
            print(blueprint(checkpoint, Draft(), "safetensors").nbytes)
        assert "torch" not in sys.modules and "numpy" not in sys.modules
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], check=True, capture_output=True, text=True
    )
    assert int(result.stdout) == len(save({"G.w": torch.ones(2)}, PT))


def test_offsets_beyond_four_gigabytes_are_written_as_the_format_says():
    from normcli.formats.writers.flat import Flat
    from normcli.formats.writers.safetensors_header import header_bytes, in_file_order

    refs = [line(name, (1 << 30, 3)) for name in ("b", "a")]
    lines = in_file_order(Flat(ref, Given(ref, ref.name)) for ref in refs)
    raw = header_bytes([each.ref for each in lines], {})
    header = json.loads(raw[8:])
    size = 3 << 32
    assert header["a"]["data_offsets"] == [0, size]
    assert header["b"]["data_offsets"] == [size, 2 * size]
    assert len(raw) % 8 == 0
