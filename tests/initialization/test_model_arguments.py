"""The JSON of --model-args: an object or an array, or one line that says what was found."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from normcli.errors import UsageError
from normcli.initialization.arguments import arguments_of

HINT = """write '{"width": 64}' for keywords, '[64]' for positional arguments"""


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"width": 64, "x": [1, {"y": null}]}', ' [64, "a"] ']
)
def test_objects_and_arrays_are_what_json_says(text):
    assert arguments_of(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("64", "--model-args: is a number, expected an object or an array"),
        ("6.4", "--model-args: is a number, expected an object or an array"),
        ("true", "--model-args: is a boolean, expected an object or an array"),
        ("null", "--model-args: is null, expected an object or an array"),
        ('"[64]"', "--model-args: is a string, expected an object or an array"),
        ("", "--model-args: is not JSON: Expecting value: line 1 column 1 (char 0)"),
        ("width=64", "--model-args: is not JSON: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_anything_else_is_one_line(text, message):
    with pytest.raises(UsageError) as caught:
        arguments_of(text)
    assert str(caught.value) == message
    assert caught.value.hint == HINT


@pytest.mark.parametrize("text", ["[1", "{'a': 1}", "[1] [2]", "9" * 5000])
def test_broken_json_is_a_usage_error(text):
    with pytest.raises(UsageError, match="is not JSON: "):
        arguments_of(text)


def test_a_key_that_comes_twice_is_refused():
    with pytest.raises(UsageError) as caught:
        arguments_of('{"width": 1, "width": 2}')
    assert str(caught.value) == "--model-args: key 'width' comes twice"


def test_deep_json_is_refused():
    with pytest.raises(UsageError) as caught:
        arguments_of("[" * 200_000)
    assert str(caught.value) == "--model-args: nests too deep"


def test_neither_torch_nor_numpy_is_imported():
    code = (
        "import sys, normcli.initialization.arguments as a; a.arguments_of('[1]'); "
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
