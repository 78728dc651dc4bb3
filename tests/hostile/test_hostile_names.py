"""Names that speak to the terminal or to the CI: every output of them is printable."""

from __future__ import annotations

import hostile
import pytest
from hostile import pickle, table, tensor, text
from running import run_in

from normcli.render import FORMATS
from normcli.render.gate import GATE_FORMATS

NAMES = [
    "[bold red]x[/]",
    "\x1b]0;title\x07\x1b[31mred",
    "\x07",
    "a\nnormcli: all is well",
    "a\r\n::error::x",
    "::error::x",
    "\u202egpj\u200f",
    "\ud800",
    "\x85\u2028\x9b31m",
]
ZERO = tensor(shape=(2, 2), stride=(2, 1))  # a finding of the built-in policy


@pytest.fixture
def spoken(tmp_path):
    """What a command line says of a file with all these names."""

    def run(*arguments):
        data = pickle(table(*((text(name), ZERO) for name in NAMES)))
        (tmp_path / "model.pt").write_bytes(hostile.archive(data))
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        done = run_in(tmp_path, scratch, (*arguments, "--no-config"), ["model.pt"])
        assert done.code in (0, 1), done.stderr
        return done.stdout + done.stderr

    return run


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_listing_is_printable(spoken, output_format):
    assert_printable(spoken("ls", "--all", "--color", "never", "--format", output_format))


@pytest.mark.parametrize("output_format", GATE_FORMATS)
def test_the_findings_are_printable(spoken, output_format):
    assert_printable(spoken("check", "--color", "never", "--format", output_format))


def test_no_name_is_an_annotation_of_its_own(spoken):
    lines = spoken("check", "--format", "github").splitlines()
    assert any(line.startswith("::warning ") for line in lines)
    assert not any(line.startswith("::error::") for line in lines)


def assert_printable(output):
    assert output
    for letter in output:
        assert letter.isprintable() or letter in "\n\r\t", ascii(letter)
