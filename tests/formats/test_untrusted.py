"""What a hostile file must not do: run code, take the memory, escape as another error."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import hostile
import pytest
from hostile import name, pickle, row, table, tensor, text
from hypothesis import given, settings
from hypothesis import strategies as st
from opcodes import SNIPPETS
from safetensors_files import empty_tensors, entry, packed

from normcli.errors import CheckpointError
from normcli.formats import open_checkpoint

HOSTILE = hostile.archive(
    pickle(
        table(
            (text("a"), tensor()),
            (text("r"), name("os", "system") + row(text("touch /tmp/x")) + b"R"),
            (text("s"), text("os") + text("system") + b"\x93" + row(text("id")) + b"R"),
            (text("i"), b"(" + text("id") + b"ios\nsystem\n"),
            (text("m"), name("antigravity", "fly")),
        )
    )
)


def run(code, *arguments, flags=()):
    command = [sys.executable, *flags, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_opening_and_reading_a_hostile_file_runs_nothing(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(HOSTILE)
    code = """
        import sys
        from normcli.formats import open_checkpoint
        import normcli.formats.filling, torch, numpy
        open_checkpoint(sys.argv[1], allow_opaque=True).read("a")  # whatever is lazy is loaded now
        seen = []
        watched = ("import", "exec", "compile", "subprocess", "socket", "pickle", "os.system",
                   "os.posix_spawn", "os.fork", "ctypes")
        sys.addaudithook(lambda event, _: event.startswith(watched) and seen.append(event))
        with open_checkpoint(sys.argv[1], allow_opaque=True) as checkpoint:
            for name in checkpoint.tensors:
                checkpoint.read(name)
            assert len(checkpoint.opaque) == 2, checkpoint.opaque
        sys.exit(str(seen) if seen else 0)
    """
    done = run(code, path, flags=["-W", "ignore"])
    assert done.returncode == 0, done.stderr


def test_refusals_hold_without_asserts(tmp_path):
    outside = tmp_path / "outside.pt"
    outside.write_bytes(hostile.archive(hostile.state_dict(a=tensor(shape=(5,)))))
    foreign = tmp_path / "foreign.pt"
    foreign.write_bytes(HOSTILE)
    code = """
        import sys
        from normcli.errors import CheckpointError
        from normcli.formats import open_checkpoint
        for path in sys.argv[1:]:
            try:
                open_checkpoint(path)
            except CheckpointError:
                continue
            sys.exit(path)
    """
    done = run(code, outside, foreign, flags=["-O"])
    assert done.returncode == 0, done.stderr


PEAK = """
    import re, sys
    from normcli.errors import CheckpointError
    from normcli.formats import open_checkpoint
    try:
        open_checkpoint(sys.argv[1], budget_scale=float(sys.argv[2])).close()
    except CheckpointError as error:
        print(error)
    print(re.search("VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read()).group(1))
"""


def peak_megabytes(path, scale=1.0):
    """Peak memory of a process that opens the file, and what it said."""
    done = run(PEAK, path, scale)
    assert done.returncode == 0, done.stderr
    *said, kilobytes = done.stdout.splitlines()
    return int(kilobytes) / 1024, "".join(said)


def safetensors_with(entries):
    return packed(b"{" + b",".join(entries) + b"}")


EXPENSIVE = [
    ("900,000 empty tensors", lambda: empty_tensors(900_000), "900000 tensors"),
    ("as many as are allowed", lambda: empty_tensors(290_000), ""),
    ("lists", lambda: safetensors_with([b'"a":[' + b"[]," * 3_000_000 + b"[]]"]), "may"),
    ("objects", lambda: safetensors_with([b'"a":[' + b"{}," * 250_000 + b"{}]"]), ""),
    ("a long string", lambda: safetensors_with([b'"' + b"x" * 90_000_000 + b'":1']), ""),
    ("wide text", lambda: safetensors_with([b'"' + "😀".encode() * 20_000_000 + b'":1']), "may"),
    ("escapes", lambda: safetensors_with([b'"' + b"\\u1234" * 10_000_000 + b'":1']), "may take"),
    ("empty dicts", lambda: hostile.archive(pickle(b"(" + b"}" * 4_900_000 + b"l")), "memory"),
    ("memos", lambda: hostile.archive(pickle(b"(" + b"]\x94" * 2_400_000 + b"l")), ""),
    ("wide strings", lambda: hostile.archive(pickle(text("😀" + "x" * 60_000_000))), ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("build", "said"), [case[1:] for case in EXPENSIVE], ids=[c[0] for c in EXPENSIVE]
)
def test_a_header_takes_less_than_450_megabytes(tmp_path, build, said):
    path = tmp_path / "model"
    path.write_bytes(build())
    peak, output = peak_megabytes(path)
    assert peak < 450
    assert said in output


@settings(max_examples=400, deadline=None)
@given(parts=st.lists(st.sampled_from(SNIPPETS), max_size=14), stop=st.booleans())
def test_any_sequence_of_opcodes_opens_or_is_a_checkpoint_error(tmp_path_factory, parts, stop):
    data = b"\x80\x02" + b"".join(parts) + (b"." if stop else b"")
    path = tmp_path_factory.getbasetemp() / "fuzzed.pt"
    path.write_bytes(hostile.archive(data))
    try:
        with open_checkpoint(path, allow_opaque=True) as checkpoint:
            for key in checkpoint.tensors:
                checkpoint.read(key)
    except CheckpointError:
        pass


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_changed_byte_opens_or_is_a_checkpoint_error(tmp_path_factory, data):
    content = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed"
    path.write_bytes(content)
    try:
        with open_checkpoint(path, allow_opaque=True) as checkpoint:
            for key in checkpoint.tensors:
                checkpoint.read(key)
    except CheckpointError:
        pass


def safetensors_seed():
    return packed({"a": entry(0, 8, [2]), "__metadata__": {}}, os.urandom(8))


SEEDS = [
    safetensors_seed(),
    hostile.archive(hostile.state_dict(a=tensor(), b=tensor(shape=(2, 2), stride=(2, 1)))),
    HOSTILE,
]
