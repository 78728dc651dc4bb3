"""normcli and torch.load on the same few thousand files, good and bad."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import differential
import pytest
import torch

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
PLACE = re.compile(r"(?<=<!-- differential -->\n).*?(?=\n<!-- /differential -->)", re.DOTALL)
WRITTEN_WITH = "2.13", (3, 11)  # what refuses a file there may refuse it elsewhere by another error


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    return differential.compare(tmp_path_factory.mktemp("differential"))


def test_what_both_read_is_bit_equal_and_nothing_is_hidden(compared):
    assert not compared.different, compared.different[:5]
    assert compared.alike > 300


def test_what_only_one_of_the_two_reads_is_listed(compared, request):
    version = ".".join(torch.__version__.split(".")[:2]), sys.version_info[:2]
    if version != WRITTEN_WITH:
        pytest.skip(f"the list is of torch and Python {WRITTEN_WITH}, this is {version}")
    text = PAGE.read_text(encoding="utf-8")
    table = differential.table(compared)
    if request.config.getoption("--write-golden"):
        PAGE.write_text(PLACE.sub(lambda _: table, text), encoding="utf-8")
        return
    # how many files fall under a reason moves by one between runs; the reasons do not
    assert _reasons(PLACE.search(text).group()) == _reasons(table)


def _reasons(table):
    """The table without its figures."""
    return re.sub(r"\d+", "N", table)


def test_a_difference_would_be_seen():
    whole = ["float32", [2], [1], "00"]
    ours = differential.Reading({"a": whole}, skipped=("optim/…",))
    assert not list(differential._differences(ours, {"a": whole, "optim/state/0": whole}))
    assert list(differential._differences(ours, {"a": [*whole[:3], "01"]}))
    assert list(differential._differences(ours, {}))
    assert list(differential._differences(ours, {"a": whole, "b": whole}))
