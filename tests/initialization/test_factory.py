"""From `package.module:attribute` to a model, and one line for each way in which it fails."""

from __future__ import annotations

import sys
from textwrap import dedent

import pytest
import torch

from normcli.errors import UsageError
from normcli.initialization.factory import built, check_values

torch.set_num_threads(1)

HERE = "it is looked for in the working directory, PYTHONPATH and the installed packages"
JSON = "they are JSON: an object holds keywords, an array positional arguments"

DIGITS = """
    import functools
    from torch import nn


    WIDTH = 3
    net = nn.Linear(4, 2)


    class Net(nn.Module):
        def __init__(self, width=2):
            super().__init__()
            self.inner = nn.Linear(width, width)

        @classmethod
        def small(cls):
            return cls(1)


    def make(width, depth: int = 2):
        return nn.Linear(width, depth)


    def adds_one(factory):
        @functools.wraps(factory)
        def wrapper(*args, **kwargs):
            return factory(5, *args, **kwargs)

        return wrapper


    wrapped = adds_one(make)
    partial = functools.partial(make, 7)


    def fails():
        raise ValueError("bad\\n  size")


    def leaves():
        raise SystemExit(3)


    def gives_class():
        return Net


    def gives_dict():
        return Net().state_dict() and {}


    def gives_nothing():
        pass


    def gives_tuple():
        return Net(), Net()


    def lazy():
        return nn.Sequential(nn.LazyLinear(3))


    def lazy_buffer():
        return nn.LazyBatchNorm1d(affine=False)


    def meta():
        return nn.Linear(2, 3, device="meta")


    def meta_buffer():
        return nn.Sequential(nn.BatchNorm1d(2, affine=False, device="meta"))


    def imports_later():
        class Later(nn.Module):
            def forward(self, x):
                import digits_later

                return x * digits_later.FACTOR

        return Later()
"""


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A working directory with modules of a user; afterwards Python knows none of them."""
    before, path = set(sys.modules), list(sys.path)
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "models.py").write_text("from torch import nn\n\nmake = nn.Identity\n")
    (tmp_path / "digits.py").write_text(dedent(DIGITS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in {"digits", "pkg", "digits_later", "broken", "my-model"}:
            del sys.modules[name]


def failure(spec, arguments=()):
    with pytest.raises(UsageError) as caught:
        built(spec, arguments)
    return caught.value


@pytest.mark.parametrize(
    ("spec", "arguments", "shape"),
    [
        ("digits:make", [3], (2, 3)),
        ("digits:make", (3, 4), (4, 3)),
        ("digits:make", {"width": 3, "depth": 5}, (5, 3)),
        ("digits:net", (), (2, 4)),
        ("digits:net", {}, (2, 4)),
        ("digits:wrapped", [], (2, 5)),
        ("digits:wrapped", {"depth": 4}, (4, 5)),
        ("digits:partial", {"depth": 4}, (4, 7)),
        ("torch.nn:Linear", [6, 5], (5, 6)),
    ],
)
def test_a_factory_gives_its_model(spec, arguments, shape):
    model = built(spec, arguments)
    assert isinstance(model, torch.nn.Linear)
    assert tuple(model.weight.shape) == shape


def test_an_attribute_may_be_dotted():
    assert built("digits:Net.small").inner.in_features == 1
    assert isinstance(built("pkg.models:make"), torch.nn.Identity)


def test_a_module_may_have_a_name_that_import_cannot_say(project):
    (project / "my-model.py").write_text("from torch import nn\n\nmake = nn.Identity\n")
    assert isinstance(built("my-model:make"), torch.nn.Identity)


def test_the_working_directory_comes_first_and_once(project):
    sys.path.append(str(project))
    built("digits:net")
    built("digits:net")
    assert sys.path[0] == str(project)
    assert sys.path.count(str(project)) == 1


def test_a_model_may_import_more_while_it_runs(project):
    model = built("digits:imports_later")
    (project / "digits_later.py").write_text("FACTOR = 3\n")
    assert model(torch.ones(1)).item() == 3


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("digits.py", "write digits:ATTRIBUTE, ATTRIBUTE being what builds the model"),
        ("digits", "write digits:ATTRIBUTE, ATTRIBUTE being what builds the model"),
        ("digits:", "write digits:ATTRIBUTE, ATTRIBUTE being what builds the model"),
        (":make", "write package.module:make"),
        ("path/to/file.py:fn", "write path.to.file:fn"),
        ("./file.py:fn", "write file:fn"),
        ("digits.py:make", "write digits:make"),
        ("path/to/file:fn", "write path.to.file:fn"),
        ("/abs/file.py:fn", "write file:fn, with PYTHONPATH=/abs"),
        ("../file.py:fn", "write file:fn, with PYTHONPATH=.."),
        ("pkg..models:make.", "write pkg.models:make"),
        ("a:b:c", "write a:ATTRIBUTE, ATTRIBUTE being what builds the model"),
        ("", "write package.module:ATTRIBUTE, ATTRIBUTE being what builds the model"),
    ],
)
def test_another_form_is_refused_and_the_right_one_shown(spec, hint):
    error = failure(spec)
    assert str(error) == f"--model: '{spec}' is not PACKAGE.MODULE:ATTRIBUTE"
    assert error.hint == hint


@pytest.mark.parametrize(
    ("spec", "missing", "hint"),
    [
        ("digitz:make", "digitz", f"did you mean 'digits'? I{HERE[1:]}"),
        ("pgk.models:make", "pgk", f"did you mean 'pkg'? I{HERE[1:]}"),
        ("pkg.model:make", "pkg.model", f"did you mean 'pkg.models'? I{HERE[1:]}"),
        ("digits.sub:make", "digits.sub", HERE),
        ("nothing_like_it:make", "nothing_like_it", HERE),
    ],
)
def test_a_module_that_is_not_there_is_named(spec, missing, hint):
    error = failure(spec)
    assert str(error) == f"--model: no module is called '{missing}'"
    assert error.hint == hint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import timmm\n", "ModuleNotFoundError: No module named 'timmm' (broken.py, line 1)"),
        (
            "\nfrom torch import nope_nope\n",
            "ImportError: cannot import name 'nope_nope' from 'torch' ",
        ),
        ("x = 1\n1 / 0\n", "ZeroDivisionError: division by zero (broken.py, line 2)"),
        ("import sys\nsys.exit(0)\n", "SystemExit: 0 (broken.py, line 2)"),
        ("y = (\n", "SyntaxError: '(' was never closed (broken.py, line 1)"),
        ("raise ModuleNotFoundError('gone')\n", "ModuleNotFoundError: gone (broken.py, line 1)"),
    ],
)
def test_a_module_that_fails_is_one_line(project, text, told):
    (project / "broken.py").write_text(text)
    error = failure("broken:make")
    assert str(error).startswith(f"--model: importing 'broken' failed: {told}")
    assert "\n" not in str(error)


def test_a_package_of_the_user_that_lacks_a_module_is_not_taken_for_the_missing_one(project):
    (project / "pkg" / "__init__.py").write_text("import pkg.nett\n")
    assert str(failure("pkg.models:make")) == (
        "--model: importing 'pkg.models' failed: "
        "ModuleNotFoundError: No module named 'pkg.nett' (pkg/__init__.py, line 1)"
    )


def test_a_missing_attribute_is_named_with_what_was_meant():
    error = failure("digits:mak")
    assert str(error) == "--model: 'digits' has no attribute 'mak'"
    assert error.hint == "did you mean 'make'?"
    error = failure("digits:Net.smal")
    assert str(error) == "--model: 'digits:Net' has no attribute 'smal'"
    assert error.hint == "did you mean 'small'?"


def test_a_strange_attribute_gets_the_list_of_what_there_is(project):
    (project / "broken.py").write_text("from torch.nn import Linear\ndef build(): pass\n")
    assert failure("broken:zzz").hint == "known: build"
    (project / "pkg" / "models.py").write_text("WIDTH = 3\n")
    assert failure("pkg.models:zzz").hint == "nothing in it can be called"


def test_an_attribute_lookup_that_fails_is_one_line(project):
    (project / "broken.py").write_text("def __getattr__(name):\n    raise OSError('gone')\n")
    assert str(failure("broken:make")) == (
        "--model: looking up 'make' failed: OSError: gone (broken.py, line 2)"
    )


def test_an_attribute_that_builds_nothing_is_refused():
    assert str(failure("digits:WIDTH")) == (
        "--model: 'digits:WIDTH' is an int, expected a function, a class or a torch.nn.Module"
    )


def test_a_model_takes_no_arguments():
    assert str(failure("digits:net", [1])) == (
        "--model-args: 'digits:net' is a model already, which takes no arguments"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "missing a required argument: 'width'"),
        ({"width": 1, "height": 2}, "got an unexpected keyword argument 'height'"),
        ([1, 2, 3], "too many positional arguments"),
    ],
)
def test_arguments_that_do_not_fit_are_one_line(arguments, told):
    error = failure("digits:make", arguments)
    assert str(error) == (
        f"--model-args: do not fit 'digits:make', which takes (width, depth=2): {told}"
    )
    assert error.hint == JSON


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        (
            "digits:fails",
            "building 'digits:fails' failed: ValueError: bad size (digits.py, line 37)",
            "--debug shows its traceback",
        ),
        (
            "digits:leaves",
            "building 'digits:leaves' failed: SystemExit: 3 (digits.py, line 41)",
            "--debug shows its traceback",
        ),
        (
            "digits:gives_class",
            "'digits:gives_class' gave the class 'Net', expected a torch.nn.Module",
            "it gave the class, not a model",
        ),
        (
            "digits:gives_dict",
            "'digits:gives_dict' gave a dict, expected a torch.nn.Module",
            "build the model; the state dict is read from the checkpoint",
        ),
        (
            "digits:gives_nothing",
            "'digits:gives_nothing' gave None, expected a torch.nn.Module",
            "does it end with return?",
        ),
        (
            "digits:gives_tuple",
            "'digits:gives_tuple' gave a tuple, expected a torch.nn.Module",
            "",
        ),
        (
            "digits:lazy",
            "'0.weight' of the model is lazy: it has no shape before the first run",
            "run it once on an example in the factory",
        ),
        (
            "digits:lazy_buffer",
            "'running_mean' of the model is lazy: it has no shape before the first run",
            "run it once on an example in the factory",
        ),
        (
            "digits:meta",
            "'weight' of the model is on the meta device, which holds no values",
            "build it on a real device",
        ),
        (
            "digits:meta_buffer",
            "'0.running_mean' of the model is on the meta device, which holds no values",
            "build it on a real device",
        ),
    ],
)
def test_a_factory_that_gives_no_model_is_one_line(spec, message, hint):
    error = failure(spec)
    assert str(error) == f"--model: {message}"
    assert error.hint == hint


def test_a_model_in_memory_is_held_to_the_same_rule():
    check_values(torch.nn.Linear(2, 2), where="model")
    with pytest.raises(UsageError, match="model: 'weight' of the model is lazy"):
        check_values(torch.nn.LazyLinear(2), where="model")


def test_a_factory_may_leave_the_working_directory(project):
    (project / "broken.py").write_text(
        "import os\nfrom torch import nn\n\nos.chdir('/')\n\n\ndef make():\n"
        "    os.chdir('/')\n    return nn.Identity()\n"
    )
    built("broken:make")
    assert project.samefile(".")
