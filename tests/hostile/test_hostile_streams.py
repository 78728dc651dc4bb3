"""What apply and convert say and write, whoever listens and wherever they run."""

import hashlib
import subprocess

import pytest
import torch
from hostile_writers import WRITERS, saved
from processes import COMMAND, environment, run, start
from safetensors.torch import load_file, save

torch.set_num_threads(1)
MANY = 1200  # weights, whose lines are more than a pipe holds


@pytest.fixture(params=WRITERS.values(), ids=WRITERS)
def writer(request):
    return request.param


@pytest.fixture
def small(tmp_path):
    """A checkpoint in a folder of its own, beside which outputs go."""
    return saved(tmp_path / "here" / "model.pt", count=3, size=8)


def head(process):
    """What `head -1` shows of a process, and how that ends, with what it says beside."""
    shown = subprocess.run(["head", "-1"], stdin=process.stdout, capture_output=True, check=True)
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    return shown.stdout, process.wait(timeout=60), said


def test_a_pipe_that_breaks_leaves_all_that_apply_writes(tmp_path):
    path, output = tmp_path / "many.pt", tmp_path / "out.pt"
    torch.save({f"{n}.weight": torch.full((2, 2), n + 1.0) for n in range(MANY)}, path)
    command = WRITERS["apply"].command(path, output, "-f", "plain", "-q")
    shown, code, said = head(start(*command))
    assert shown.startswith(b"name\t")
    assert (code, said) == (141, b"")
    WRITERS["apply"].assert_whole(output, path)


def test_a_pipe_that_breaks_leaves_all_that_convert_writes(tmp_path):
    path, output = tmp_path / "many.pt", tmp_path / "out.pt"
    parts = {"weight_g": torch.full((2, 1), 2.0**0.5), "weight_v": torch.ones(2, 2)}
    given = {f"{n}.{part}": tensor for n in range(MANY) for part, tensor in parts.items()}
    torch.save(given, path)
    options = ["--layout", "parametrized", "-f", "plain", "-q"]
    shown, code, said = head(start("convert", path, "-o", output, *options))
    assert shown.startswith(b"name\t")
    assert (code, said) == (141, b"")
    found = torch.load(output)
    assert len(found) == len(given)
    for role, part in enumerate(parts):
        for n in range(MANY):
            new = found[f"{n}.parametrizations.weight.original{role}"]
            assert torch.equal(new, given[f"{n}.{part}"])


def test_a_pipe_that_takes_the_path_ends_with_0(small, writer):
    output = small.with_name(f"out{writer.suffix}")
    shown, code, said = head(start(*writer.command(small, output), "-q"))
    assert (shown, code, said) == (f"{output}\n".encode(), 0, b"")
    writer.assert_whole(output, small)


@pytest.mark.parametrize("where", [">&-", ">/dev/full"], ids=["closed", "full"])
def test_standard_output_that_takes_nothing_is_told_and_the_checkpoint_stays(small, writer, where):
    output = small.with_name(f"out{writer.suffix}")
    command = [*COMMAND, *map(str, writer.command(small, output, "-q"))]
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$@" {where}', "sh", *command],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("normcli: standard output: ")
    assert len(done.stderr.splitlines()) == 1
    writer.assert_whole(output, small)


def test_without_a_terminal_nothing_but_text_is_said(small, writer):
    output = small.with_name(f"out{writer.suffix}")
    bare = {name: text for name, text in environment().items() if name != "TERM"}
    done = subprocess.run(
        [*COMMAND, *map(str, writer.command(small, output))],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        start_new_session=True,  # no terminal that could be opened behind the streams
        env=bare,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"{output}\n")
    assert done.stderr.replace("\n", "").isprintable()
    writer.assert_whole(output, small)


def test_a_locale_without_letters_changes_no_name_in_the_file(small, writer):
    output = small.with_name(f"out{writer.suffix}")
    bare = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run(*writer.command(small, output), **bare)
    assert (done.returncode, done.stdout) == (0, f"{output}\n")
    assert done.stderr.isascii()
    writer.assert_whole(output, small)


def test_two_runs_have_the_same_sha256(small, writer):
    digests = set()
    for turn in ("1", "2"):
        output = small.with_name(f"{turn}{writer.suffix}")
        more = {"PYTHONHASHSEED": turn, "TZ": f"UTC{turn}"}
        done = run(*writer.command(small, output, "-j", turn), **more)
        assert done.returncode == 0, done.stderr
        digests.add(hashlib.sha256(output.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_the_bytes_are_those_of_the_library(small, writer):
    output = small.with_name("out.safetensors")
    assert run(*writer.command(small, output)).returncode == 0
    found = load_file(output)
    assert len(found) >= len(torch.load(small))
    assert output.read_bytes() == save(found, {"format": "pt"})
