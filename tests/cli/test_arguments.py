"""Arguments with a spelling of their own."""

import pytest

from normcli.cli import arguments
from normcli.errors import UsageError
from normcli.render.document import Order


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        ("2GB", 2 * 10**9),
        ("512MiB", 512 * 2**20),
        ("1.5 GiB", 3 * 2**29),
        ("1000", 1000),
        ("7b", 7),
        ("3kb", 3000),
    ],
)
def test_sizes(text, nbytes):
    assert arguments.size(text) == nbytes


@pytest.mark.parametrize("text", ["", "2G", "-1GB", "GB", "0", "1e9", "0.1B", "٣GB", "inf"])
def test_what_is_not_a_size_is_refused(text):
    with pytest.raises(UsageError):
        arguments.size(text)


def test_axes():
    assert arguments.axes(["up.*=1", "g=none", "a=b=-1"]) == {"up.*": 1, "g": None, "a=b": -1}


@pytest.mark.parametrize("text", ["up", "up=", "=1", "up=x", "up=1.0", "up=None"])
def test_what_is_not_an_axis_is_refused(text):
    with pytest.raises(UsageError):
        arguments.axes([text])


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        (None, Order()),
        ("name", Order("name")),
        ("name:asc", Order("name")),
        ("name:desc", Order("name", descending=True)),
    ],
)
def test_orders(sort, order):
    assert arguments.order(sort, None, ["name"]) == order


def test_columns_are_in_the_order_asked_for():
    assert arguments.columns("b, a,", ["a", "b"]) == ("b", "a")


def test_a_name_unlike_any_is_answered_with_all():
    with pytest.raises(UsageError) as caught:
        arguments.columns("zzz", ["alpha", "beta"])
    assert caught.value.hint == "known: alpha, beta"
