"""Names from a file never reach a terminal as anything but letters."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normcli.render.escape import escaped, shortened

UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("conv.weight", "conv.weight"),
        ("größe.σ", "größe.σ"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\x07", "a\\x0ab\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb", "a\\u202eb"),
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
        ("[red]x[/red]", "[red]x[/red]"),
    ],
)
def test_unsafe_letters_are_spelled_out(text, shown):
    assert escaped(text) == shown


@given(st.text(st.characters()))
def test_nothing_unsafe_is_left(text):
    assert not any(unicodedata.category(letter) in UNSAFE for letter in escaped(text))


@given(st.text(), st.integers(1, 40))
def test_shortened_is_never_longer_and_never_touches_what_fits(text, limit):
    short = shortened(text, limit)
    assert len(short) <= limit
    assert short == text if len(text) <= limit else "…" in short


def test_the_end_of_a_name_outlives_its_beginning():
    assert shortened("generator.blocks.12.conv1.weight", 20) == "generat…conv1.weight"
