"""The watch itself: it sees what a file does to torch.load, and normcli does none of it."""

from __future__ import annotations

import json

import hostile
import pytest
from corpus_pickles import CALLS, WAYS, beside, by_reduce
from hostile import name, row, table, text
from running import run_in

ARGUMENTS = ("ls", "--no-config", "--format", "json", "--allow-opaque")
GATE = ("check", "--no-config", "--format", "json")

# What a file may call → the event that gives it away.
SEEN = {
    "import": (name("this", "d"), "import ('this'"),
    "find_class": (name("os", "getpid"), "pickle.find_class ('os'"),
    "exec": (name("builtins", "exec") + row(text("1")) + b"R", "exec (<code object"),
    "compile": (
        name("builtins", "compile") + row(text("1"), text("f"), text("eval")) + b"R",
        "compile (",
    ),
    "socket": (name("socket", "socket") + b")R", "socket.__new__ ("),
    "open elsewhere": (
        name("builtins", "open") + row(text("/etc/hostname")) + b"R0N",
        "open ('/etc/hostname'",
    ),
    "open above": (
        name("builtins", "open") + row(text("../case/../neighbour"), text("w")) + b"R0N",
        "open ('../case/../neighbour'",
    ),
    "write inside": (
        name("builtins", "open") + row(text("marker"), text("w")) + b"R0N",
        "open ('marker'",
    ),
    "list elsewhere": (name("os", "listdir") + row(text("/")) + b"R", "os.listdir ('/'"),
    "remove": (name("os", "remove") + row(text("model.pt")) + b"R", "os.remove ('model.pt'"),
    "ctypes": (name("ctypes", "CDLL") + row(b"N") + b"R", "ctypes.dlopen ("),
    "environment": (
        name("os", "putenv") + row(text("A"), text("b")) + b"R",
        "os.putenv (b'A'",
    ),
}


@pytest.fixture
def runs(tmp_path):
    """Outcomes of a pickle: loaded by torch without its protection, and listed by normcli."""

    def run_twice(data):
        outcomes = []
        for control in (True, False):
            inside, scratch = (tmp_path / str(control) / each for each in ("case", "scratch"))
            for folder in (inside, scratch):
                folder.mkdir(parents=True)
            (inside / "model.pt").write_bytes(hostile.archive(data))
            done = run_in(inside, scratch, ARGUMENTS, ["model.pt"], control=control)
            outcomes.append(done)
        return outcomes

    return run_twice


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", CALLS)
def test_a_call_of_a_file_is_seen_and_leaves_its_marker(runs, what, way):
    loaded, listed = runs(beside(WAYS[way](*CALLS[what])))
    assert loaded.marked
    assert any(each.startswith(("os.system", "subprocess.Popen")) for each in loaded.events)
    assert not listed.marked
    assert (listed.code, listed.events) == (0, ())


@pytest.mark.parametrize("what", SEEN)
def test_an_event_that_a_file_causes_is_seen(runs, what):
    value, event = SEEN[what]
    loaded, listed = runs(hostile.pickle(table((text("x"), value))))
    assert any(each.startswith(event) for each in loaded.events), loaded
    assert (listed.code, listed.events) == (0, ())


@pytest.mark.parametrize("what", CALLS)
def test_the_gate_finds_a_call_and_runs_nothing_of_it(tmp_path, what):
    (tmp_path / "model.pt").write_bytes(hostile.archive(beside(by_reduce(*CALLS[what]))))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    checked = run_in(tmp_path, scratch, GATE, ["model.pt"])
    (checkpoint,) = json.loads(checked.stdout)["checkpoints"]
    assert "foreign-objects" in [finding["rule"] for finding in checkpoint["findings"]]
    assert (checked.code, checked.events, checked.marked) == (1, (), False)


def test_normcli_opens_the_file_and_nothing_else_that_counts(runs):
    _, listed = runs(hostile.state_dict(a=hostile.tensor()))
    assert (listed.code, listed.events, listed.stderr) == (0, (), "")


def test_a_run_that_takes_too_much_memory_ends(runs):
    claim = name("builtins", "bytearray") + row(hostile.integer(5_000_000_000)) + b"R"
    loaded, _ = runs(hostile.pickle(table((text("x"), claim + b"0N"))))
    assert "MemoryError" in loaded.stderr
