"""A wrong rule at another time scale is the same wrong rule, or is not tried there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from harness.mutation.scaled import counters, is_loaded, loaded, looks_back, scaled
from tests.mutation.incident import LOADED, rule


def test_times_are_divided() -> None:
    """Ranges, offsets and `for` are divided by the scale; thresholds and labels stay."""
    written = replace(rule(), expr="max_over_time(x[5m:30s] offset 1m) > 20", hold=timedelta(minutes=2))
    assert scaled(written, 60) == {
        "alert": "Down",
        "expr": "max_over_time(x[5s:500ms] offset 1s) > 20",
        "for": "2000ms",
        "labels": {"severity": "critical"},
    }


@pytest.mark.parametrize(
    ("scale", "expr"),
    [(1, "increase(x[5m]) > 20"), (60, "(rate(x[5s]) * 300) > 20")],
)
def test_an_increase_is_a_rate_times_its_range(scale: float, expr: str) -> None:
    """What a counter grows by shrinks with the scale, its rate does not."""
    assert scaled(replace(rule(), expr="increase(x[5m]) > 20"), scale)["expr"] == expr


@pytest.mark.parametrize(
    "expr", ["changes(x[5m]) > 2", "time() > 5", "x[5m] offset 7ms > 1", "count_over_time(x[5m]) > 9"]
)
def test_what_would_be_another_rule_is_refused(expr: str) -> None:
    """What does not mean the same at another scale is a ValueError there."""
    with pytest.raises(ValueError, match=r"."):
        scaled(replace(rule(), expr=expr), 60)


def test_a_loaded_rule_is_known_by_what_it_means() -> None:
    """Prometheus writes a rule its own way; another threshold, `for` or label is another rule."""
    assert is_loaded(rule(), replace(LOADED, expr='(up{job="api"}) == 0'), 60)
    others = (replace(LOADED, expr="up == 0"), replace(LOADED, hold=3.0), replace(LOADED, labels={}))
    assert not any(is_loaded(rule(), other, 60) for other in others)
    assert loaded(rule(), 60) == LOADED


def test_how_far_a_rule_looks_back() -> None:
    """Ranges inside each other add up, and offsets with them."""
    assert looks_back(replace(rule(), expr="max_over_time(rate(x[1m])[10m:] offset 5m) > 1"), 60) == 16
    assert counters(replace(rule(), expr="rate(x[1m]) / y > sum(increase(z[5m]))")) == {"x", "z"}
