"""Mutants that no series can tell from their rule are proven to be the same, and no others."""

from __future__ import annotations

import pytest

from harness.mutation.expression import read
from harness.mutation.proof import labels, same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("up == 0", "(up) == 0"),
        ('x{a="1",b="2"} > 0', 'x{b="2",a="1"} > 0'),
        ("sum by (job) (x) > 1", "max by (job) (sum by (job) (x)) > 1"),
        ("sum by (job) (x) / sum by (job) (y) > 1", "max by (job) (sum by (job) (x) / sum by (job) (y)) > 1"),
        ("sum by (job) (x) * 2 > 1", "avg by (job, a) (sum by (job) (x) * 2) > 1"),
        (
            "histogram_quantile(0.9, sum by (job, le) (rate(x[5m]))) > 1",
            "max by (job) (histogram_quantile(0.9, sum by (job, le) (rate(x[5m])))) > 1",
        ),
        ("sum(rate(x[2m])) == 0", "sum(increase(x[2m])) == 0"),
        (
            "histogram_quantile(0.9, sum by (le) (rate(x[5m]))) > 1",
            "histogram_quantile(0.9, sum by (le) (increase(x[5m]))) > 1",
        ),
    ],
)
def test_what_gives_the_same_alerts_is_proven_to(one: str, other: str) -> None:
    """Brackets, the order of matchers, groups of one series each and factors that cancel out make no difference."""
    assert same(read(one), read(other))
    assert same(read(other), read(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("up == 0", "max by (job) (up) == 0"),
        ("sum by (job, path) (x) > 1", "max by (job) (sum by (job, path) (x)) > 1"),
        ("sum by (job) (x) > 1", "count by (job) (sum by (job) (x)) > 1"),
        ("sum by (job) (x) > 1", "sum(sum by (job) (x)) > 1"),
        ("sum by (job) (x) > 1", "max without (job) (sum by (job) (x)) > 1"),
        ("topk by (job) (1, x) > 1", "max by (job) (topk by (job) (1, x)) > 1"),
        ("a / on (job) b > 1", "max by (job) (a / on (job) b) > 1"),
        ("x / sum by (job) (y) > 1", "max by (job) (x / sum by (job) (y)) > 1"),
        ("histogram_quantile(0.9, x) > 1", "max by (job) (histogram_quantile(0.9, x)) > 1"),
        ("sum(rate(x[2m])) > 1", "sum(increase(x[2m])) > 1"),
        ("rate(x[2m]) > 0", "increase(x[2m]) > 0"),  # its value, which a message may tell, is another
        ("rate(x[2m]) + 1 == 0", "increase(x[2m]) + 1 == 0"),
        ("rate(x[2m]) == bool 0", "increase(x[2m]) == bool 0"),
        ("irate(x[2m]) == 0", "increase(x[2m]) == 0"),
        ("histogram_quantile(0.9, rate(x[2m]) + y) > 1", "histogram_quantile(0.9, increase(x[2m]) + y) > 1"),
    ],
)
def test_what_may_differ_is_not(one: str, other: str) -> None:
    """Where a label, a value or one of two terms may differ, nothing is proven."""
    assert not same(read(one), read(other))


@pytest.mark.parametrize(
    ("expr", "known"),
    [
        ("sum(x)", set()),
        ("sum by (a, b) (x)", {"a", "b"}),
        ("-(sum by (a) (x))", {"a"}),
        ("sum by (a) (x) > 3", {"a"}),
        ("sum by (a, b) (x) + sum by (b, c) (y)", {"b"}),
        ("x", None),
        ("sum without (a) (x)", None),
        ("sum by (a) (x) or sum by (b) (y)", None),
        ("rate(x[5m])", None),
    ],
)
def test_the_labels_that_a_result_may_have(expr: str, known: set[str] | None) -> None:
    """They are known where an aggregation leaves only those that it names."""
    assert labels(read(expr)) == known
