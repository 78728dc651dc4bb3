"""A few seconds of fuzzing in the suite: the same cases every time; `fuzz.py` runs for longer."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import fuzz
import pytest
from fuzz_mutators import mutated
from fuzzing import TARGETS, Corpus, Target

CASES = 700  # of each target


@pytest.mark.parametrize("name", TARGETS)
def test_a_changed_file_opens_or_is_refused_in_a_sentence(name):
    target = TARGETS[name]
    outcomes = Counter(fuzz.outcome(target, target.case(0, number)) for number in range(CASES))
    wrong = {said for said in outcomes if "\n" in said}
    assert not wrong, wrong
    assert outcomes["opened"], outcomes
    assert len(outcomes) > 1, outcomes


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_read(name):
    for data in TARGETS[name].corpus.seeds:
        TARGETS[name].run(data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_case_is_the_same_whenever_it_is_asked_for(name):
    target = TARGETS[name]
    cases = [target.case(5, number) for number in range(20)]
    assert cases == [target.case(5, number) for number in range(20)]
    assert cases != [target.case(6, number) for number in range(20)]


def crash(_):
    raise KeyError("the defect")


def grow(_):
    assert len(bytearray(b"x") * (fuzz.MEGABYTES + 100) * 2**20)


def die(_):
    os._exit(7)


FAULTY = [(crash, "KeyError: 'the defect'"), (grow, "MB"), (die, "the process died: 7")]


@pytest.mark.parametrize(("run", "said"), FAULTY, ids=["an error", "memory", "a crash"])
def test_a_defect_is_found_kept_and_makes_the_run_fail(tmp_path, capsys, monkeypatch, run, said):
    corpus = Corpus((b"seed",))
    monkeypatch.setitem(TARGETS, "npy", Target("npy", run, mutated, corpus))
    monkeypatch.setattr(fuzz, "WARM", 0)
    assert fuzz.main(["--cases", "3", "--target", "npy", "--failures", str(tmp_path)]) == 1
    kept = sorted(path for path in tmp_path.iterdir() if not path.suffix)
    assert kept[0] == tmp_path / "npy-0-0"
    assert kept[0].read_bytes() == TARGETS["npy"].case(0, 0)
    assert said in Path(f"{kept[0]}.txt").read_text()
    assert "failed" in capsys.readouterr().out
