"""Exit codes and what is said on standard error, through real processes."""

import os
import re
import signal
import subprocess

import pytest
import torch
from processes import COMMAND, environment, run, start

_HERE = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}


def assert_refused(done, *sentences):
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for sentence in sentences:
        assert sentence in done.stderr


def test_inspect_ends_with_0(model):
    done = run("inspect", model)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("name\tshape")


def test_ls_ends_with_0(model):
    done = run("ls", model)
    assert (done.returncode, done.stderr) == (0, "")


def test_nan_is_no_failure(tmp_path):
    path = tmp_path / "nan.pt"
    torch.save({"w": torch.full((2, 2), torch.nan)}, path)
    assert run("inspect", path).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ls"], "missing argument 'PATH...'"),
        (["lz"], "no such command 'lz'"),
        (["ls", "x", "--fromat", "json"], "did you mean '--format'?"),
        (["ls", "x", "--format", "jsn"], "did you mean 'json'?"),
        (["ls", "x", "--columns", "name,shap"], "did you mean 'shape'?"),
        (["ls", "x", "--sort", "byte"], "did you mean 'bytes'?"),
        (["ls", "x", "--sort", "bytes:up"], "write bytes:desc"),
        (["ls", "x", "--limit", "0"], "--limit: should be greater than or equal to 1"),
        (["ls", "x", "--report", "json"], "'json' is not FORMAT=PATH"),
        (["ls", "x", "--color", "sometimes"], "--color: 'sometimes' is not a choice"),
        (["inspect", "x", "--jobs", "many"], "--jobs (or NORMCLI_JOBS): should be a valid integer"),
        (["inspect", "x", "--memory", "2QB"], "--memory: '2QB' is not a size"),
        (["inspect", "x", "--dim", "fc"], "--dim: 'fc' is not GLOB=AXIS"),
        (["inspect", "x", "--rtol", "0"], "--rtol: 0.0 is not between 0 and 1"),
        (["inspect", "x", "--rtol", "nan"], "--rtol: nan is not between 0 and 1"),
        (["inspect", "x", "--rtol", "tight"], "--rtol: should be a valid number"),
        (["inspect", "x", "--failure-probability", "1"], "--failure-probability: 1.0 is not betw"),
        (
            ["inspect", "x", "--certificate", "nine"],
            "--certificate: no certificate is called 'nine'",
        ),
        (["inspect", "x", "--certificate", "probable"], "did you mean 'probabilistic'?"),
        (["inspect", "x", "--device", "cudo"], "did you mean 'cuda'?"),
        (["inspect", "x", "--expect-sha256", "0"], "is not 64 hexadecimal digits"),
        (["inspect", "x", "y", "--expect-sha256", "0" * 64], "pins one input, 2 were given"),
    ],
)
def test_an_argument_that_cannot_be_meant_ends_with_2(arguments, sentence):
    done = run(*arguments)
    assert_refused(done, sentence)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_here_ends_with_2(model, device):
    if _HERE[device]:
        pytest.skip(f"there is a {device} device here")
    for done in (
        run("inspect", model, "--device", device),
        run("inspect", model, NORMCLI_DEVICE=device),
    ):
        assert_refused(done, f"normcli: --device: no {device} device here, expected cpu")
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1


def test_an_unknown_metric_is_named_with_what_was_meant(model):
    assert_refused(run("inspect", model, "--metrics", "frobenus"), "did you mean 'frobenius'?")


def test_no_command_shows_the_help_and_ends_with_2():
    done = run()
    assert done.returncode == 2
    assert "Usage: normcli COMMAND" in done.stderr


def test_a_missing_file_ends_with_2(tmp_path):
    done = run("ls", tmp_path / "none.pt")
    assert_refused(done, "none.pt: ")
    assert done.stdout == ""


def test_every_readable_path_is_reported_and_each_other_one_named(model, tmp_path):
    junk = tmp_path / "junk.pt"
    junk.write_bytes(b"junk")
    done = run("ls", tmp_path / "none.pt", model, junk)
    assert_refused(done, "none.pt: ", "junk.pt: ")
    assert "c.weight" in done.stdout


def test_names_are_escaped_on_standard_error(tmp_path):
    done = run("ls", tmp_path / "a\x1b[31m\nb.pt")
    assert_refused(done, "a\\x1b[31m\\x0ab.pt")
    assert "\x1b" not in done.stderr


def test_an_internal_error_is_one_line_and_a_hint(model, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import normcli.render as r\n"
        "def broken(document, page): raise KeyError('fault')\n"
        "r.FORMATS = {'plain': broken}\n"
    )
    done = run("ls", model, PYTHONPATH=str(tmp_path))
    assert_refused(done, "normcli: internal error: KeyError: 'fault'", "--debug")
    assert len(done.stderr.splitlines()) == 2
    debug = run("ls", model, "--debug", PYTHONPATH=str(tmp_path))
    assert debug.returncode == 2
    assert "Traceback" in debug.stderr


def test_a_broken_pipe_ends_with_141_silently(large):
    process = start("ls", large)
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 141


def test_a_broken_pipe_of_help_is_silent():
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" --help | true', "sh", *COMMAND],
        capture_output=True,
        env=environment(),
        check=False,
    )
    assert done.stderr == b""


def test_a_streamed_broken_pipe_ends_with_141(large):
    process = start("inspect", large, "-f", "jsonl", "--metrics", "nan")
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 141


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
@pytest.mark.parametrize("arguments", [["ls"], ["ls", "-f", "json"], ["inspect", "-f", "jsonl"]])
def test_a_full_or_closed_standard_output_ends_with_2(model, arguments, redirection):
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$@" {redirection}', "sh", *COMMAND, *arguments, str(model)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert_refused(done, "normcli: standard output: ")
    assert len(done.stderr.splitlines()) == 1


def test_closed_standard_streams_do_not_become_the_checkpoint(model, tmp_path):
    target = tmp_path / "norms.csv"
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" <&- >&- 2>&-', "sh", *COMMAND, "ls", str(model), "-o", str(target)],
        env=environment(),
        check=False,
    )
    assert done.returncode == 0
    assert target.read_text().count("\n") == 4


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_with_128_and_its_number(large, name):
    number = signal.Signals[name]
    process = start("ls", large)
    process.stdout.read(1)  # it writes, and nobody reads on: it waits in the middle
    os.kill(process.pid, number)
    assert process.wait(timeout=60) == 128 + number
    assert process.stderr.read() == b""
    process.stdout.close()
    process.stderr.close()


def test_a_signal_that_is_ignored_stays_ignored(model):
    done = subprocess.run(
        ["/bin/sh", "-c", 'trap "" HUP; "$@"; echo $?', "sh", *COMMAND, "ls", str(model)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.stdout.endswith("\n0\n")


@pytest.mark.parametrize("form", ["table", "plain", "markdown", "csv"])
def test_an_ascii_locale_does_not_break_the_output(lettered, form):
    ascii_only = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = run("ls", lettered, "-f", form, **ascii_only)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()


def test_color_is_never_in_a_pipe_unless_asked_for(model):
    assert "\x1b" not in run("ls", model, "-f", "table").stdout
    assert "\x1b" in run("ls", model, "-f", "table", "--color", "always").stdout
    assert "\x1b" in run("ls", model, "-f", "table", FORCE_COLOR="1").stdout
    assert "\x1b" not in run("ls", model, "-f", "table", FORCE_COLOR="1", NO_COLOR="1").stdout


def test_standard_output_does_not_depend_on_what_is_said(model):
    said = run("inspect", model, "-v", "--color=always", "--no-progress")
    assert said.stdout == run("inspect", model, "-q").stdout
    assert said.stderr


@pytest.mark.parametrize("option", [[], ["--device", "cpu"], ["--jobs", "1"]])
def test_the_same_input_gives_the_same_bytes(model, option):
    first, second = (run("inspect", model, "-f", "json", *more).stdout for more in ([], option))
    assert first == second


def test_version():
    done = run("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"normcli \d+\.\d+\.\d+\n", done.stdout)
