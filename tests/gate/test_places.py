"""Lines of keys in TOML, held to what the parser of the standard library reads from them."""

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normcli.gate.places import nearest, places

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEXTS = {
    "plain": ("a = 1\nb = 2\n", {("a",): 1, ("b",): 2}),
    "blank lines and comments": ("\n# a = 0\n\n  a = 1 # b = 2\n", {("a",): 4}),
    "windows": ("a = 1\r\n\r\nb = 2\r\n", {("a",): 1, ("b",): 3}),
    "no last line break": ("a = 1\nb = 2", {("a",): 1, ("b",): 2}),
    "tables": (
        "[[d]]\nx = 1\n[[d]]\nx = 2\n[e.f]\ny = 3\n",
        {("d", 0): 1, ("d", 0, "x"): 2, ("d", 1): 3, ("d", 1, "x"): 4, ("e", "f"): 5,
         ("e", "f", "y"): 6},
    ),
    "tables in tables": (
        "[[a]]\n[[a.b]]\n[[a.b]]\nx = 1\n[a.c]\n[[a]]\n[[a.b]]\n",
        {("a", 0): 1, ("a", 0, "b", 0): 2, ("a", 0, "b", 1): 3, ("a", 0, "b", 1, "x"): 4,
         ("a", 0, "c"): 5, ("a", 1): 6, ("a", 1, "b", 0): 7},
    ),
    "blanks in headers": ("[[ a . 'b' ]]\nx=1\n", {("a", "b", 0): 1, ("a", "b", 0, "x"): 2}),
    "dotted and quoted keys": (
        'a.b = 1\n"c.d" = 2\n\'e f\'."g" . h = 3\n"\\u0041" = 4\n',
        {("a", "b"): 1, ("c.d",): 2, ("e f", "g", "h"): 3, ("A",): 4},
    ),
    "a string of several lines": (
        'a = """\n[[d]]\nx = 1 \\""" ""\n\\\\"""\nb = 2\n', {("a",): 1, ("b",): 5},
    ),
    "a string that ends with quotes": ('a = """x""""\nb = """"y"""""\nc = 3\n',
        {("a",): 1, ("b",): 2, ("c",): 3}),
    "a literal of several lines": (
        "a = '''\n[[d]]\n\\''''\nb = ''''''\nc = 3\n", {("a",): 1, ("b",): 4, ("c",): 5},
    ),
    "brackets in strings": ("a = ['[', \"]\\\"[\", '''\n[''']\nb = 2\n", {("a",): 1, ("b",): 3}),
    "a list of several lines": (
        "a = [ # [\n  1, # ]\n\n  [2, 3],\n]\nb = 2\n", {("a",): 1, ("b",): 6},
    ),
    "inline tables": (
        "a = {x = 1, y = {z = '}'}}\nb = [{x = 1},\n {x = 2}]\nc = 3\n",
        {("a",): 1, ("b",): 2, ("c",): 4},
    ),
    "a hash in a string": ("a = '# b'\nb = \"\\\"#\"\n", {("a",): 1, ("b",): 2}),
    "dates and floats": ("a = 2027-06-30\nb = 1e-3\nc = -inf\n", {("a",): 1, ("b",): 2, ("c",): 3}),
}  # fmt: skip


@pytest.mark.parametrize("case", TEXTS)
def test_keys_stand_where_they_stand(case):
    text, expected = TEXTS[case]
    tomllib.loads(text)  # it is TOML
    assert places(text) == expected


@pytest.mark.parametrize("case", TEXTS)
def test_the_parser_has_something_at_every_place(case):
    text, _ = TEXTS[case]
    for place in places(text):
        value = tomllib.loads(text)
        for part in place:
            value = value[part]


def test_where_the_text_is_beyond_us_lines_are_left_out():
    assert places("a = 1\n?? b = 2\nc = 3\n") == {("a",): 1}


def test_the_nearest_line_is_that_of_the_table_but_not_of_the_file():
    found = {("d",): 1, ("d", 0): 2, ("d", 0, "x"): 3}
    assert nearest(found, ("d", 0, "x"), 2) == 3
    assert nearest(found, ("d", 0, "y"), 2) == 2
    assert nearest(found, ("d", 1, "x"), 2) is None


STRINGS = st.text(st.sampled_from("a\"'[]{}#=,.\n\\"), max_size=12)


def basic(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def many(text):
    """Quotes stand as they are where they cannot be taken for the end."""
    escaped = re.sub(r'"(?="|\Z)', r'\\"', text.replace("\\", "\\\\"))
    return f'"""\n{escaped}"""'


@given(st.lists(st.tuples(st.sampled_from([basic, many]), STRINGS), min_size=1, max_size=6))
def test_no_string_hides_or_invents_a_key(values):
    lines, expected = [], {}
    for number, (quote, value) in enumerate(values):
        expected[f"key{number}",] = "\n".join(lines).count("\n") + bool(lines) + 1
        lines.append(f"key{number} = [{quote(value)}]")
    text = "\n".join(lines)
    assert len(tomllib.loads(text)) == len(values)
    assert places(text) == expected
