"""Code of the user fails in one sentence, and leaves the working directory as it was."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from normcli.errors import CheckpointError, NormcliError, UsageError
from normcli.initialization.guest import guest


class Stopped(BaseException):
    """As a signal stops the program."""


def load(folder, name, text):
    """The names that a file of the user defines, compiled as an import compiles it."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    names = {}
    exec(compile(text, str(file), "exec"), names)
    return names


def failure(code, *args):
    with pytest.raises(UsageError) as caught, guest("running the model", where="--model"):
        code(*args)
    return caught.value


def test_an_error_is_one_sentence_with_its_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = load(tmp_path, "pkg/mod.py", "def f():\n    raise ValueError('bad size')\n")
    error = failure(code["f"])
    assert str(error) == (
        "--model: running the model failed: ValueError: bad size (pkg/mod.py, line 2)"
    )
    assert error.hint == "--debug shows its traceback"
    assert isinstance(error.__cause__, ValueError)


def test_a_file_outside_of_the_working_directory_is_named_alone(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    code = load(tmp_path, "there/mod.py", "def f():\n    raise ValueError('bad')\n")
    assert failure(code["f"]).message.endswith("ValueError: bad (mod.py, line 2)")


def test_whitespace_is_collapsed():
    error = ValueError("a\n\n  b\t\u2028c\r\n")
    assert " failed: ValueError: a b c (" in failure(raises(error)).message


def raises(error):
    def code():
        raise_it(error)

    return code


def raise_it(error):
    raise error


def test_a_long_message_is_cut():
    message = failure(raises(ValueError("x" * 5000))).message
    assert f": {'x' * 400}… (" in message
    assert len(message) < 500


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SystemExit(2), "SystemExit: 2 ("),
        (SystemExit("no\nway"), "SystemExit: no way ("),
        (SystemExit(), "SystemExit ("),
        (AssertionError(), "AssertionError ("),
        (KeyError("x"), "KeyError: 'x' ("),
        (StopIteration(), "StopIteration ("),
        (BrokenPipeError(32, "Broken pipe"), "BrokenPipeError: [Errno 32] Broken pipe ("),
        (MemoryError(), "MemoryError ("),
    ],
)
def test_whatever_is_raised_is_a_usage_error(error, told):
    found = failure(raises(error))
    assert f"running the model failed: {told}" in found.message
    assert found.__cause__ is error


def test_an_error_without_text_of_its_own_is_told_too():
    class Mute(Exception):  # noqa: N818 - its name is not what is tested
        def __str__(self):
            raise RuntimeError

    assert ": Mute: (no text: its __str__ fails) (" in failure(raises(Mute())).message


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Stopped(), GeneratorExit()])
def test_what_is_no_exception_passes_through(error):
    with pytest.raises(type(error)) as caught, guest("running the model"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize("error", [CheckpointError("is cut"), UsageError("x", where="--batch")])
def test_an_error_of_our_own_passes_through(error):
    with pytest.raises(NormcliError) as caught, guest("running the model", where="--model"):
        raise error
    assert caught.value is error
    assert caught.value.__cause__ is None


def test_frames_of_torch_are_not_the_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "import torch\n\n\ndef f():\n    torch.nn.Linear(2, 3)(torch.ones(5))\n"
    code = load(tmp_path, "mod.py", text)
    message = failure(code["f"]).message
    assert ": RuntimeError: " in message
    assert message.endswith(" (mod.py, line 5)")


def test_frames_of_the_standard_library_and_numpy_are_not_the_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "def f(call):\n    call()\n"
    code = load(tmp_path, "mod.py", text)
    for call in (lambda: json.loads("{"), lambda: np.concatenate([np.ones(2), np.ones((2, 2))])):
        assert "(test_guest.py, line " in failure(code["f"], call).message


def unseen(code, *args):
    """As `failure`, without a frame of this file between `guest` and the code."""
    text = "with guest('running the model'):\n    code(*args)"
    with pytest.raises(UsageError) as caught:
        exec(text, {"guest": guest, "code": code, "args": args})
    return caught.value


def test_a_model_of_torch_alone_has_no_place():
    message = unseen(torch.nn.Linear(2, 3), torch.ones(5)).message
    assert message.startswith("running the model failed: RuntimeError: ")
    assert ".py" not in message


def test_installed_code_is_the_place_where_there_is_no_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "def g():\n    raise ValueError('bad')\n"
    installed = load(tmp_path, "lib/site-packages/zoo/net.py", text)["g"]
    own = load(tmp_path, "mod.py", "def f(g):\n    g()\n")["f"]
    assert failure(own, installed).message.endswith("(mod.py, line 2)")
    assert unseen(installed).message.endswith("(lib/site-packages/zoo/net.py, line 2)")


def test_a_syntax_error_is_told_with_its_own_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = failure(load, tmp_path, "mod.py", "x = 1\ny = (\n").message
    assert message.endswith("SyntaxError: '(' was never closed (mod.py, line 2)")


def test_a_missing_module_is_to_be_installed():
    error = failure(raises(ModuleNotFoundError("No module named 'timm'", name="timm")))
    assert error.hint == "install it into the environment that normcli runs in"


def test_a_hint_that_is_known_is_given():
    with pytest.raises(UsageError) as caught, guest("x", hint="do this"):
        raise ValueError
    assert caught.value.hint == "do this"


@pytest.mark.parametrize("error", [ValueError(), SystemExit(), KeyboardInterrupt()])
def test_the_working_directory_is_restored_after_an_error(tmp_path, monkeypatch, error):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UsageError, KeyboardInterrupt)), guest("running"):
        leave(error)
    assert Path.cwd() == tmp_path


def leave(error):
    os.chdir("/")
    raise error


def test_the_working_directory_is_restored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with guest("running"):
        os.chdir("/")
    assert Path.cwd() == tmp_path


def test_the_place_is_shown_below_the_directory_that_it_began_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "import os\ndef f():\n    os.chdir('/')\n    raise ValueError('bad')\n"
    code = load(tmp_path, "pkg/mod.py", text)
    assert failure(code["f"]).message.endswith("(pkg/mod.py, line 4)")


def test_a_vanished_working_directory_is_no_error(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with guest("running"):
        pass
    assert "(test_guest.py, line " in failure(raises(ValueError("bad"))).message


def test_no_descriptor_is_left_open():
    if not sys.platform.startswith("linux"):
        pytest.skip("needs /proc")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        failure(raises(ValueError("bad")))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_standard_output_is_left_alone(capsys):
    with guest("running"):
        print("hello")  # noqa: T201 - as the user's code does
    assert capsys.readouterr().out == "hello\n"
