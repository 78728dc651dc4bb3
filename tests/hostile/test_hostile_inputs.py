"""The corpus of inputs: each case in a process of its own, and the table of what became of it.

`pytest tests/hostile --write-golden` rewrites the table in docs/reliability.md; with `--junit-xml`
the seconds and megabytes of every case are there, too.
"""

from __future__ import annotations

from pathlib import Path

import corpus_table
import pytest
from cases import REFUSED, VERDICTS
from corpus import CASES
from running import idle_megabytes, run, run_in

SECONDS, MEGABYTES = 2, 300
SPENT_SECONDS, SPENT_MEGABYTES = 10, 450  # where a budget is spent to its end

REFUSED_FROM_HEADER = [
    case
    for case in CASES
    if case.arguments[0] == "ls" and not (case.spends or case.options or case.barred())
]


@pytest.fixture
def check_row(request):
    """Hold a line of the table to the page, or write it there."""

    def check(line):
        if request.config.getoption("--write-golden"):
            corpus_table.put(line, CASES)
        assert line in corpus_table.rows()

    return check


@pytest.mark.parametrize("case", CASES, ids=[f"{case.group}: {case.name}" for case in CASES])
def test_a_file_of_the_corpus_gets_its_verdict(
    case, tmp_path, tmp_path_factory, check_row, record_property
):
    if reason := case.barred():
        check_row(corpus_table.barred_row(case, reason))
        pytest.skip(reason)
    outcome = run(case, tmp_path)
    record_property("seconds", round(outcome.seconds, 3))
    record_property("megabytes", round(outcome.megabytes))
    assert_verdict(case, outcome)
    assert_nothing_ran(outcome)
    idle = idle_megabytes(case.arguments[0], tmp_path_factory.getbasetemp())
    assert_cheap(case, outcome, idle)
    check_row(corpus_table.row(case, outcome))


def test_what_is_refused_is_refused_without_asserts(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    paths, says = [], []
    for number, case in enumerate(REFUSED_FROM_HEADER):
        folder = tmp_path / str(number)
        folder.mkdir()
        built = case.build(folder)
        for path in [built] if isinstance(built, Path) else built:
            paths.append(str(path.relative_to(tmp_path)))
            says.append(case.says)
    outcome = run_in(tmp_path, scratch, REFUSED_FROM_HEADER[0].arguments, paths, optimized=True)
    assert outcome.code == 2
    assert_nothing_ran(outcome)
    assert len(outcome.errors) == len(paths)
    for error, fragment in zip(outcome.errors, says, strict=True):
        assert fragment in error


def assert_verdict(case, outcome):
    """Refused with one sentence a file, or read without a word, as the case says."""
    assert outcome.code == (2 if case.verdict == REFUSED else 0), outcome.stderr
    lines = [line for line in outcome.stderr.splitlines() if not line.startswith("hint: ")]
    assert outcome.stderr.replace("\n", "").isprintable()
    if case.verdict == REFUSED:
        assert len(lines) == len(outcome.paths)
        assert all(line.startswith("normcli: ") and case.says in line for line in lines)
        assert "internal error" not in outcome.stderr
    else:
        assert lines == []
        assert outcome.stdout.isascii()
        assert not case.says or corpus_table.said(case, outcome)
    assert outcome.verdict == case.verdict


def assert_nothing_ran(outcome):
    assert outcome.events == ()
    assert not outcome.marked


def assert_cheap(case, outcome, idle):
    assert outcome.seconds < (SPENT_SECONDS if case.spends else SECONDS)
    assert outcome.megabytes - idle < (SPENT_MEGABYTES if case.spends else MEGABYTES)


def test_the_table_has_every_case_once_and_no_other(request):
    if request.config.getoption("--write-golden"):
        pytest.skip("the table is being written")
    assert list(map(corpus_table.lead, corpus_table.rows())) == list(map(corpus_table.start, CASES))


def test_a_name_stands_for_one_case_of_a_group():
    assert len({(case.group, case.name) for case in CASES}) == len(CASES)


def test_every_verdict_is_known():
    assert {case.verdict for case in CASES} == set(VERDICTS)
