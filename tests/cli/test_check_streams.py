"""`normcli check`: no stream, terminal or locale changes a verdict."""

import json
import os
import re
import subprocess

import pytest
import torch
from gated import broken, sound
from processes import COMMAND, environment, run, start
from safetensors.torch import save_file


@pytest.fixture
def good(tmp_path):
    return sound(tmp_path / "good.safetensors")


@pytest.fixture
def bad(tmp_path):
    return broken(tmp_path / "bad.safetensors")


@pytest.fixture(params=["good", "bad"])
def either(request, good, bad):
    """A checkpoint that passes, and one that does not, with their exit codes."""
    return {"good": (good, 0), "bad": (bad, 1)}[request.param]


def redirected(path, redirection, *options, cwd):
    return subprocess.run(
        ["/bin/sh", "-c", f'"$@" {redirection}', "sh", *COMMAND, "check", str(path), *options],
        capture_output=True, text=True, env=environment(), cwd=cwd, check=False,
    )  # fmt: skip


def unheard(*arguments):
    """The exit code, and what is said on standard error, where nobody reads standard output."""
    process = start("check", *arguments, "--no-config")
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    return process.wait(timeout=120), said


@pytest.mark.parametrize("form", ["full", "concise", "json", "sarif"])
def test_a_broken_pipe_takes_no_finding_back(bad, form):
    assert unheard(bad, "-f", form) == (1, b"")


def test_head_takes_no_finding_back(tmp_path):
    path = tmp_path / "long.safetensors"
    nan = torch.full((1, 2), torch.nan)
    save_file({f"layer.{n}.weight": nan.clone() for n in range(1000)}, path)
    line = ["-o", "pipefail", "-c", '"$@" | head -1', "bash", *COMMAND, "check", str(path)]
    done = subprocess.run(
        ["bash", *line], capture_output=True, env=environment(), cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_broken_pipe_takes_back_nothing_of_what_could_not_be_read(good, tmp_path):
    code, said = unheard(good, tmp_path / "none.pt")
    assert code == 2
    assert b"none.pt" in said


@pytest.mark.parametrize("form", ["full", "json"])
def test_a_broken_pipe_of_a_gate_that_passes_ends_with_141(good, form):
    assert unheard(good, "-f", form) == (141, b"")


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
@pytest.mark.parametrize("form", ["full", "json", "github"])
def test_a_verdict_that_cannot_be_said_ends_with_2(either, form, redirection, tmp_path):
    done = redirected(either[0], redirection, "-f", form, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("normcli: standard output: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_verdict_goes_to_a_file_where_standard_output_is_closed(bad, tmp_path):
    done = redirected(bad, ">&- 2>&-", "-o", "norms.json", cwd=tmp_path)
    assert done.returncode == 1
    assert json.loads((tmp_path / "norms.json").read_text())["verdict"] == "fail"


@pytest.mark.parametrize("name", ["good", "bad"])
@pytest.mark.parametrize(
    "form", ["full", "concise", "json", "markdown", "github", "gitlab", "junit", "sarif"]
)
def test_an_ascii_locale_changes_no_verdict(tmp_path, form, name):
    path = tmp_path / "größe.safetensors"
    (sound if name == "good" else broken)(path)
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = run("check", path, "-f", form, cwd=tmp_path, **ascii_only)
    assert (done.returncode, done.stderr) == ({"good": 0, "bad": 1}[name], "")
    assert done.stdout.isascii()


@pytest.mark.parametrize(
    "more",
    [
        {"GITHUB_ACTIONS": "true", "CI": "true"},
        {"NO_COLOR": "1"},
        {"TERM": "dumb"},
        {"LC_ALL": "C.UTF-8"},
    ],
)
def test_what_is_said_depends_on_no_surroundings(bad, more, tmp_path):
    plain = run("check", bad, "-f", "concise", cwd=tmp_path)
    there = run("check", bad, "-f", "concise", cwd=tmp_path, **more)
    assert there.returncode == plain.returncode == 1
    assert without_time(there) == without_time(plain)


def without_time(done):
    return [line.rpartition(" · ")[0] for line in done.stdout.splitlines()]


def test_a_pipe_gets_the_findings_in_full(bad, tmp_path):
    told = run("check", bad, cwd=tmp_path)
    asked = run("check", bad, "-f", "full", cwd=tmp_path)
    assert without_time(told) == without_time(asked)


@pytest.mark.parametrize("more", [{}, {"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_a_terminal_changes_no_verdict(either, more, tmp_path):
    path, code = either
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [*COMMAND, "check", path.name], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
        env=environment(**{"TERM": "xterm", "COLUMNS": "80", **more}), cwd=tmp_path,
    )  # fmt: skip
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as screen:
        shown = b"".join(_until_closed(screen)).decode()
    assert process.wait(timeout=60) == code
    assert ("\x1b[1;31merror" in shown) == (code == 1 and not more)
    assert ("error: " in _without_escapes(shown)) == (code == 1)


def _until_closed(screen):
    try:
        yield from iter(lambda: screen.read(4096), b"")
    except OSError:  # Linux says so when nobody writes any more
        return


def _without_escapes(text):
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text)


def test_a_narrow_terminal_is_kept_to(bad, tmp_path):
    done = run("check", bad.name, cwd=tmp_path, COLUMNS="40")
    assert done.returncode == 1
    assert max(map(len, done.stdout.splitlines())) <= 40


def test_colour_is_never_in_a_pipe_unless_asked_for(bad, tmp_path):
    assert "\x1b" not in run("check", bad, cwd=tmp_path).stdout
    assert "\x1b" in run("check", bad, "--color", "always", cwd=tmp_path).stdout
    said = run("check", bad, cwd=tmp_path, FORCE_COLOR="1", NO_COLOR="1").stdout
    assert "\x1b" not in said


def test_quiet_and_verbose_change_nothing_on_standard_output(either, tmp_path):
    path, code = either
    quiet = run("check", path, "-q", cwd=tmp_path)
    verbose = run("check", path, "-v", cwd=tmp_path)
    assert without_time(quiet) == without_time(verbose)
    assert quiet.returncode == verbose.returncode == code
    assert quiet.stderr == ""
    assert "policy: built-in" in verbose.stderr


def test_names_are_escaped_in_what_is_said(tmp_path):
    broken(tmp_path / "a.safetensors", "x\x1b[31m\n::error::y.weight")
    done = run("check", "a.safetensors", "no\x1b[31m\nne.pt", "-f", "github", cwd=tmp_path)
    assert done.returncode == 2
    assert "\x1b" not in done.stdout + done.stderr
    assert not [line for line in done.stdout.splitlines() if line.startswith("::error::y")]
