"""Which names a pattern means."""

import pytest

from normcli.records import TensorRef
from normcli.selection import chosen


def ref(section, key):
    return TensorRef(section, key, (2, 2), "float32", 16)


@pytest.mark.parametrize(("pattern", "matches"), [
    ("D/conv.weight", True), ("conv.weight", True), ("D/*", True), ("*.weight", True),
    ("conv.*", True), ("C/*", False), ("CONV.weight", False), ("conv", False), ("d/*", False),
])  # fmt: skip
def test_a_glob_matches_the_whole_name_or_the_key_alone(pattern, matches):
    assert chosen([pattern], [])(ref("D", "conv.weight")) is matches


def test_a_name_with_brackets_matches_itself():
    assert chosen(["models/[0]/fc.weight"], [])(ref("models/[0]", "fc.weight"))


def test_exclusion_wins_over_inclusion():
    wanted = chosen(["D/*"], ["*.bias"])
    assert wanted(ref("D", "conv.weight"))
    assert not wanted(ref("D", "conv.bias"))
    assert not wanted(ref("G", "conv.weight"))


def test_everything_is_chosen_where_nothing_is_included():
    assert chosen([], [])(ref("", "x"))
