"""Every format of the gate, whole, against golden files; `--write-golden` rewrites them."""

import re
import unicodedata
from pathlib import Path

import pytest
from gate_records import FAILING, VERDICTS
from gate_writing import fix_rules, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from normcli.render.gate import GATE_FORMATS
from normcli.render.layout import cells_of

GOLDEN = Path(__file__).parent / "golden" / "gate"
SUFFIXES = {
    "full": "full.txt",
    "concise": "concise.txt",
    "json": "json",
    "markdown": "md",
    "github": "github.txt",
    "gitlab": "gitlab.json",
    "junit": "xml",
    "sarif": "sarif",
}
PAGES = {
    "80": {"width": 80},
    "200": {"width": 200},
    "40": {"width": 40},
    "ascii": {"unicode": False},
    "color": {"color": True},
}
WHOLE = ("failing", "passing", "hostile")
SHORT = ("warned", "strict", "never", "empty", "unread", "foreign")
CASES = {f"{kind}.{SUFFIXES[name]}": (kind, name, {}) for kind in WHOLE for name in GATE_FORMATS}
CASES |= {f"{kind}.full.txt": (kind, "full", {}) for kind in SHORT}
CASES |= {
    f"{kind}-{case}.full.txt": (kind, "full", page)
    for kind in ("failing", "hostile")
    for case, page in PAGES.items()
}


@pytest.fixture(autouse=True)
def _rules(monkeypatch):
    fix_rules(monkeypatch)


@pytest.mark.parametrize("case", CASES)
def test_output_is_the_golden_file(case, write_golden):
    kind, name, page = CASES[case]
    text = written(VERDICTS[kind], name, **page)
    path = GOLDEN / case
    if write_golden:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8")


def test_every_format_has_a_golden_file_and_no_other_is_kept():
    assert set(SUFFIXES) == set(GATE_FORMATS)
    assert {path.name for path in GOLDEN.iterdir()} == set(CASES)


def test_the_first_format_is_the_usual_one():
    assert next(iter(GATE_FORMATS)) == "full"


@pytest.mark.parametrize("name", GATE_FORMATS)
@pytest.mark.parametrize("kind", VERDICTS)
def test_every_format_writes_every_verdict_and_ends_with_a_line_break(kind, name):
    text = written(VERDICTS[kind], name, seconds=1.25)
    assert text.endswith("\n")
    text.encode()


@pytest.mark.parametrize("name", GATE_FORMATS)
@pytest.mark.parametrize("kind", VERDICTS)
def test_no_format_lets_a_hostile_name_through(kind, name):
    letters = set(written(VERDICTS[kind], name)) - {"\n"}
    assert not [each for each in letters if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Cn")]


@pytest.mark.parametrize("name", GATE_FORMATS)
@pytest.mark.parametrize("kind", VERDICTS)
def test_every_format_can_be_ascii(kind, name):
    assert written(VERDICTS[kind], name, unicode=False).isascii()


@pytest.mark.parametrize("name", GATE_FORMATS)
def test_a_terminal_changes_no_letter_but_where_lines_break(name):
    plain = written(FAILING, name, width=2000)
    colored = written(FAILING, name, width=2000, color=True)
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) == plain
    if name != "full":
        assert written(FAILING, name, width=40) == colored == plain


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(set(VERDICTS) - {"many"})), st.integers(40, 200))
def test_no_line_is_wider_than_the_terminal(kind, width):
    lines = written(VERDICTS[kind], "full", width=width).splitlines()
    assert max(map(cells_of, lines)) <= width


@pytest.mark.parametrize("width", [1, 8, 20, 40, 80, 1000])
def test_the_outcome_is_said_whole_whatever_the_width(width):
    words = re.sub(r"\s", "", written(FAILING, "full", width=width))
    assert "failed·1checkpointcouldnotberead·3errors,4warningsin2of3checkpoints" in words
