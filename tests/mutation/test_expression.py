"""An expression is taken apart and written again without a change, and changed in one place alone."""

from __future__ import annotations

import pytest

from harness.mutation.expression import Node, normal, put, read, say_time, walk

SAME = [
    'rate(http_requests_total{status="503"}[5m]) > 20',
    'sum by (job, le)(rate(x{a=~"b\\\\.c",d!="e"}[5m] offset 1m)) / on (job) group_left (z) y > bool 20',
    "max_over_time(rate(x[1m])[10m:30s] offset -5m)",
    "max_over_time(x[1h:])",
    "-x @ 123.000",
    "topk without (a)(3, x)",
    "x @ end() unless ignoring () (a or b)",
    '{__name__="x"}',
    '{__name__=~"x|y",a!~"b"}',
    'label_replace(up, "a", "$1", "b", "(.*)")',
    "x[1500ms]",
    "a ^ -b",
    "x > 2.5e-05",
    'absent(up{job="x"})',
]


@pytest.mark.parametrize("expr", SAME)
def test_an_expression_is_written_as_it_was_read(expr: str) -> None:
    """What is read is written again, character by character, where it was written our way."""
    assert str(read(expr)) == expr


@pytest.mark.parametrize("expr", ['x{a="b" or c="d"}', "x >", "sum("])
def test_what_can_not_be_taken_apart_is_refused(expr: str) -> None:
    """What is no PromQL, and what could only be written again as something else, is a ValueError."""
    with pytest.raises(ValueError, match=r"not PromQL|not known here"):
        read(expr)


def test_a_part_is_replaced_where_it_stands() -> None:
    """Only the node at the given place is another; all others are the same."""
    tree = read("a + b > 1")
    places = {str(node): path for path, node in walk(tree)}
    assert places["b"] == (0, 1)
    assert str(put(tree, places["b"], Node("number", "7"))) == "a + 7 > 1"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('(x{a="1",b="2"}) > 1', 'x{b="2",a="1"} > 1', True),  # brackets and the order of matchers mean nothing
        ("x > 20", "x >= 20", False),  # a value may be just that
        ("x[5m]", "x[300s]", True),
        ("sum by (a)(x)", "sum by (b)(x)", False),
    ],
)
def test_only_what_means_nothing_is_left_out(one: str, other: str, same: bool) -> None:
    """Two expressions have the same normal form only where nobody could tell them apart."""
    assert (normal(read(one)) == normal(read(other))) is same


@pytest.mark.parametrize(
    ("count", "said"), [(300_000, "5m"), (150_000, "150s"), (7_200_000, "2h"), (1500, "1500ms"), (0, "0ms")]
)
def test_times_are_said_in_the_largest_unit(count: int, said: str) -> None:
    """A time is one number and one unit."""
    assert say_time(count) == said
