"""A torch file that nothing is changed in is written back as it was; torch.load is the oracle."""

from __future__ import annotations

import math
from collections import OrderedDict

import hostile
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from produced import write_file
from reader_tests import DTYPES, TYPED, random_bytes
from same_content import assert_same
from test_differential import KEYS, structures

from normcli.formats import open_checkpoint
from normcli.formats.writers.draft import Draft
from normcli.formats.writers.torch_writer import torch_blueprint

torch.set_num_threads(1)


def written_back(source, target, **draft):
    with open_checkpoint(source, allow_opaque=True) as checkpoint:
        planned = torch_blueprint(checkpoint, Draft(**draft))
        write_file(planned, target)
    with open_checkpoint(target) as checkpoint:
        shown = {name: (ref.shape, ref.dtype) for name, ref in checkpoint.tensors.items()}
    assert shown == {name: (ref.shape, ref.dtype) for name, ref in planned.tensors.items()}
    return planned


def assert_written_back(content, folder, *, weights_only=True, **options):
    """Saved by torch, written by normcli, loaded by torch: what torch loads without normcli."""
    source, target = folder / "in.pt", folder / "out.pt"
    torch.save(content, source, **options)
    planned = written_back(source, target)
    assert planned.dropped == ()
    expected = torch.load(source, weights_only=weights_only, map_location="cpu")
    assert_same(torch.load(target, weights_only=weights_only), expected)
    assert_same(torch.load(target, weights_only=weights_only, mmap=True), expected)
    return target


def shared():
    """Containers and tensors that are met more than once."""
    weight = torch.nn.Parameter(torch.randn(3, 4))
    buffer = torch.arange(24.0)
    config = {"sizes": [1, 2, 3]}
    return {
        "embedding": weight, "head": weight, "first": config, "second": [config, config["sizes"]],
        "views": [buffer[2:8], buffer[4:20].view(4, 4).t(), buffer],
        "channels": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    }  # fmt: skip


def plain():
    return {
        "integers": [0, 255, 256, 65535, 65536, -1, 2**31, -(2**31), 2**63, -(2**200), True, False],
        "floats": [0.0, -0.0, 1e-300, math.inf, -math.inf, math.nan],
        "text": ["", "é", "\ud800", "a\nb\0", "x" * 70000], "bytes": [b"", b"\0\xff", b"a" * 300],
        "array": bytearray(b"\x80ab"), "none": None,
        "tuples": [(), (1,), (1, 2), (1,) * 5],
        "set": {1, "a"},
        "nested": {1: {(2, "b"): [OrderedDict(a=1)]}, None: 1.5, b"k": 2, False: 3},
        "size": torch.Size([2, 3]), "empty": torch.Size([]), "dtype": torch.bfloat16,
        "devices": [torch.device("cpu"), torch.device("cuda:1"), torch.device("cuda")],
        "long": list(range(2500)), "wide": {index: str(index) for index in range(1500)},
    }  # fmt: skip


def lightning():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    schedule.step()
    return {
        "epoch": 3, "global_step": 12, "pytorch-lightning_version": "2.1.0",
        "state_dict": model.state_dict(), "loops": {"fit_loop": {"state_dict": {}}},
        "optimizer_states": [optimizer.state_dict()], "lr_schedulers": [schedule.state_dict()],
        "hyper_parameters": {"lr": 0.1, "layers": [1, 2]}, "callbacks": {},
    }  # fmt: skip


def kinds_of_tensors():
    marked = torch.nn.Parameter(torch.randn(2))
    marked.note = {"a": [1]}
    return {
        "scalar": torch.tensor(2.5), "empty": torch.empty(0, 5), "frozen": torch.ones(2),
        "parameter": torch.nn.Parameter(torch.ones(2), requires_grad=False), "marked": marked,
        "grad": torch.randn(2, requires_grad=True), "expanded": torch.randn(4, 1)[:, 0],
        "sparse": torch.eye(3).to_sparse(), "csr": torch.eye(3).to_sparse_csr(),
        "conj": torch.randn(3, dtype=torch.complex64).conj(),
        "quantized": torch.quantize_per_tensor(torch.randn(4), 0.1, 3, torch.qint8),
        "channel": torch.quantize_per_channel(
            torch.randn(2, 3), torch.tensor([0.1, 0.2]), torch.tensor([0, 1]), 0, torch.quint8
        ),
        "meta": torch.empty(3, device="meta"),
        "dtypes": {str(dtype): random_bytes((3, 2), dtype) for dtype in DTYPES},
    }  # fmt: skip


CONTENTS = {
    "shared": shared, "plain": plain, "lightning": lightning,
    "state_dict": lambda: torch.nn.Sequential(torch.nn.Linear(2, 2)).state_dict(),
    "lone tensor": lambda: torch.randn(3), "list": lambda: [torch.randn(2), (torch.ones(1), 3)],
    "nothing": dict, "number": lambda: 7,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*Sparse CSR.*:UserWarning")
@pytest.mark.filterwarnings("ignore:.*quant.*")
@pytest.mark.filterwarnings("ignore:.*TypedStorage.*:UserWarning")
@pytest.mark.parametrize("kind", [*CONTENTS, "tensors"])
def test_content_comes_back_to_the_bit_with_all_that_is_shared(kind, tmp_path):
    content = {**CONTENTS, "tensors": kinds_of_tensors}[kind]()
    if kind == "plain":  # `bytes()`, which protocol 2 names, is nothing that weights_only knows
        assert_written_back(content, tmp_path, weights_only=False)
        content["bytes"].remove(b"")
    assert_written_back(content, tmp_path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.filterwarnings("ignore:.*pickle protocol.*:UserWarning")
def test_every_protocol_is_written_back_as_protocol_2(protocol, tmp_path):
    content = {**shared(), **plain()}
    target = assert_written_back(content, tmp_path, weights_only=False, pickle_protocol=protocol)
    with open_checkpoint(target) as checkpoint:
        record = checkpoint.content()
    assert record is not None


@pytest.mark.parametrize("kind", CONTENTS)
def test_legacy_files_become_zip_files(kind, tmp_path):
    content = CONTENTS[kind]()
    source, target = tmp_path / "in.pt", tmp_path / "out.pt"
    torch.save(content, source, _use_new_zipfile_serialization=False)
    planned = written_back(source, target)
    assert planned.format == "torch-zip"
    assert "torch-legacy" in planned.notes[0]
    expected = torch.load(source, weights_only=False)
    assert_same(torch.load(target, weights_only=False, mmap=True), expected)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=structures(DTYPES))
def test_any_content_comes_back(content, tmp_path):
    assert_written_back({"content": content}, tmp_path, weights_only=False)


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.dictionaries(KEYS, structures(TYPED), max_size=3))
def test_any_legacy_content_comes_back(content, tmp_path):
    source, target = tmp_path / "in.pt", tmp_path / "out.pt"
    torch.save(content, source, _use_new_zipfile_serialization=False)
    written_back(source, target)
    expected = torch.load(source, weights_only=False)
    assert_same(torch.load(target, weights_only=False), expected)


def test_containers_that_hold_themselves_come_back(tmp_path):
    content = {"w": torch.ones(2), "list": [1]}
    content["self"] = content
    content["list"].append(content["list"])
    content["list"].append((content["list"], {"up": content}))
    target = assert_written_back(content, tmp_path)
    loaded = torch.load(target, weights_only=True)
    assert loaded["self"] is loaded
    assert loaded["list"][2][1]["up"] is loaded


def test_two_runs_write_the_same_bytes(tmp_path):
    torch.save({**shared(), **plain(), **lightning()}, tmp_path / "in.pt")
    for name in ("one.pt", "two.pt"):
        written_back(tmp_path / "in.pt", tmp_path / name)
    one = (tmp_path / "one.pt").read_bytes()
    assert one == (tmp_path / "two.pt").read_bytes()
    written_back(tmp_path / "one.pt", tmp_path / "three.pt")
    assert one == (tmp_path / "three.pt").read_bytes()


def test_a_storage_saved_on_a_gpu_loads_on_any_machine(tmp_path):
    source, target = tmp_path / "in.pt", tmp_path / "out.pt"
    data = hostile.state_dict(w=hostile.tensor(numel=2, shape=(2,)))
    tagged = data.replace(hostile.text("cpu"), hostile.text("cuda:3"))
    source.write_bytes(hostile.archive(tagged, {"0": torch.ones(2).numpy().tobytes()}))
    written_back(source, target)
    assert torch.equal(torch.load(target, weights_only=True)["w"], torch.ones(2))
