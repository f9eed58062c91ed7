"""What samples can show: against closed forms, published tables and the binomial sum itself."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.slo.statistics import (
    incomplete_beta,
    lower_bound,
    mean_interval,
    needed_for,
    percentile,
    percentile_interval,
    student_quantile,
    upper_bound,
)


@pytest.mark.parametrize("count", [1, 10, 299, 5000])
def test_no_hits_have_a_closed_form(count: int) -> None:
    """With no bad sample the upper bound is 1 - 0.05^(1/n), with only bad ones the lower is 0.05^(1/n)."""
    assert upper_bound(0, count) == pytest.approx(1 - 0.05 ** (1 / count), rel=1e-9)
    assert lower_bound(count, count) == pytest.approx(0.05 ** (1 / count), rel=1e-9)
    assert lower_bound(0, count) == 0.0
    assert upper_bound(count, count) == 1.0


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        (5, 100, 0.0199056, 0.1022534),  # R: binom.test(5, 100, conf.level = 0.9)
        (1, 20, 0.0025614, 0.2161068),  # R: binom.test(1, 20, conf.level = 0.9)
    ],
)
def test_published_bounds(hits: int, count: int, low: float, high: float) -> None:
    """The bounds are those that R's binom.test gives."""
    assert lower_bound(hits, count) == pytest.approx(low, abs=1e-6)
    assert upper_bound(hits, count) == pytest.approx(high, abs=1e-6)


@given(st.integers(1, 150).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(max_examples=30, deadline=None)
def test_bounds_are_where_the_binomial_tail_is_five_percent(shown: tuple[int, int]) -> None:
    """At its upper bound a share shows that few hits, at its lower that many, in exactly 5 % of all experiments."""
    hits, count = shown

    def at_most(k: int, p: float) -> float:
        return math.fsum(math.comb(count, i) * p**i * (1 - p) ** (count - i) for i in range(k + 1))

    if hits < count:
        assert at_most(hits, upper_bound(hits, count)) == pytest.approx(0.05, rel=1e-6)
    if hits > 0:
        assert 1 - at_most(hits - 1, lower_bound(hits, count)) == pytest.approx(0.05, rel=1e-6)


def test_no_samples_bound_nothing() -> None:
    """Without samples a share lies anywhere between 0 and 1."""
    assert (lower_bound(0, 0), upper_bound(0, 0)) == (0.0, 1.0)


@pytest.mark.parametrize(("hits", "count"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(hits: int, count: int) -> None:
    """More hits than samples, or fewer than none, are no share."""
    with pytest.raises(ValueError, match="no share"):
        upper_bound(hits, count)


@pytest.mark.parametrize(("limit", "hits", "needed"), [(0.01, 0, 299), (0.01, 1, 473), (0.05, 0, 59), (0.001, 0, 2995)])
def test_samples_needed(limit: float, hits: int, needed: int) -> None:
    """299 requests without a failure show less than 1 %, and 298 don't."""
    assert needed_for(limit, hits) == needed
    assert upper_bound(hits, needed) < limit <= upper_bound(hits, needed - 1)


@pytest.mark.parametrize("limit", [0.0, 1.0, -0.1])
def test_limits_that_no_samples_show(limit: float) -> None:
    """No number of samples shows a share below zero."""
    with pytest.raises(ValueError, match="can't be shown"):
        needed_for(limit)


@pytest.mark.parametrize(
    ("probability", "freedom", "value"),
    [(0.95, 19, 1.729133), (0.975, 5, 2.570582), (0.975, 1, 12.706205), (0.95, 1000, 1.646379), (0.5, 7, 0.0)],
)
def test_student_quantiles(probability: float, freedom: int, value: float) -> None:
    """Student's quantiles are those of the printed tables."""
    assert student_quantile(probability, freedom) == pytest.approx(value, abs=2e-6)


@given(st.floats(1e-6, 1 - 1e-6), st.floats(0.5, 500), st.floats(0.5, 500))
@settings(max_examples=40, deadline=None)
def test_incomplete_beta_is_symmetric(x: float, a: float, b: float) -> None:
    """I_x(a, b) = 1 - I_(1-x)(b, a), and lies between 0 and 1."""
    assert -1e-9 <= incomplete_beta(x, a, b) <= 1 + 1e-9
    assert incomplete_beta(x, a, b) == pytest.approx(1 - incomplete_beta(1 - x, b, a), abs=1e-8)


def test_the_mean_of_equal_values_is_certain() -> None:
    """Values that never differ leave no doubt about their mean."""
    interval = mean_interval([0.25] * 200)
    assert interval is not None
    assert (interval.lower, interval.estimate, interval.upper) == pytest.approx((0.25, 0.25, 0.25))


def test_a_mean_between_student_bounds() -> None:
    """20 batches with means 0 and 1 in turn: 0.5, and 1.7291 times their standard error either way."""
    interval = mean_interval(([0.0] * 5 + [1.0] * 5) * 10)
    assert interval is not None
    assert interval.upper == pytest.approx(0.5 + 1.729133 * math.sqrt(5 / 19) / math.sqrt(20), abs=1e-6)
    assert interval.lower == pytest.approx(1 - interval.upper)


def test_too_few_values_have_no_mean_interval() -> None:
    """99 values are too few to bound a mean, 100 are enough."""
    assert mean_interval([1.0] * 99) is None
    assert mean_interval([1.0] * 100) is not None


def test_batches_see_that_neighbours_are_alike() -> None:
    """Slow requests in one lump leave more doubt about the mean than the same ones spread out."""
    lumped = mean_interval([1.0] * 900 + [5.0] * 100)
    spread = mean_interval(([1.0] * 9 + [5.0]) * 100)
    assert lumped is not None
    assert spread is not None
    assert lumped.estimate == spread.estimate == pytest.approx(1.4)
    assert lumped.upper > 1.8
    assert spread.upper == pytest.approx(1.4)


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.95, 95), (0.951, 96), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_percentiles_by_nearest_rank(share: float, value: float) -> None:
    """A percentile is the smallest value that such a share of all values does not exceed."""
    assert percentile([float(i) for i in range(100, 0, -1)], share) == value


def test_no_values_have_no_percentile() -> None:
    """A percentile of nothing is refused."""
    with pytest.raises(ValueError, match="no percentile"):
        percentile([], 0.5)


def test_percentile_bounds_are_order_statistics() -> None:
    """The 95 % bounds of the median of 100 values are the 42nd and the 59th."""
    interval = percentile_interval([float(i) for i in range(1, 101)], 0.5)
    assert (interval.lower, interval.estimate, interval.upper) == (42.0, 50.0, 59.0)


def test_a_percentile_beyond_the_samples_has_no_bound() -> None:
    """20 values can't bound a p99 from above."""
    assert percentile_interval([1.0] * 20, 0.99).upper == math.inf
    assert percentile_interval([], 0.99).upper == math.inf
