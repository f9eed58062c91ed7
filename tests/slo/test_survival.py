"""How long things take that do not always come: against a published example, and what must hold of any."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.slo.survival import LEAST, Lasted, median, median_interval


def lasted(text: str) -> list[Lasted]:
    """`6 6+ 7`: reached after 6, not reached within 6, reached after 7."""
    return [Lasted(float(one.rstrip("+")), reached=not one.endswith("+")) for one in text.split()]


# Weeks of remission of leukemia: E. A. Gehan, Biometrika 52 (1965), as it stands in many textbooks.
TREATED = lasted("6 6 6 6+ 7 9+ 10 10+ 11+ 13 16 17+ 19+ 20+ 22 23 25+ 32+ 32+ 34+ 35+")
UNTREATED = lasted("1 1 2 2 3 4 4 5 5 8 8 8 8 11 11 12 12 15 17 22 23")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (TREATED, 23),  # published; the median of the values that were reached would be 10
        (UNTREATED, 8),  # published
        (lasted("1 2 3"), 2),
        (lasted("1 2 3 4"), 2.5),
        (lasted("5 5+"), math.inf),  # half of them came: the other half has no time
        (lasted("1 2 9+ 9+ 9+"), math.inf),
        (lasted("9+ 9+"), math.inf),
        (lasted("1+ 7"), 7),  # the first says nothing of how long it took
        (lasted("3 3+ 3+"), math.inf),  # what ended together was at risk together
    ],
    ids=lambda value: str(len(value)) if isinstance(value, list) else str(value),
)
def test_the_median_counts_what_did_not_come(values: list[Lasted], expected: float) -> None:
    """A value that was not reached is neither dropped nor averaged, in whatever order the values are given."""
    assert median(values) == expected
    assert median(values[::-1]) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_without_any_that_did_not_come_it_is_the_plain_median(values: list[float]) -> None:
    """Then Kaplan and Meier's median is everybody's."""
    assert median([Lasted(value) for value in values]) == pytest.approx(statistics.median(values), rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(1, 100), st.booleans()), min_size=1, max_size=20))
def test_watching_for_less_long_never_makes_it_shorter(pairs: list[tuple[float, bool]]) -> None:
    """The median of values of which some did not come is no less than if they had come just then."""
    values = [Lasted(value, reached=reached) for value, reached in pairs]
    assert median(values) >= median([Lasted(one.value) for one in values])


def test_an_interval_is_repeatable_and_holds_the_median() -> None:
    """The same values give the same bounds, and another seed gives others that are near."""
    low, high = median_interval(UNTREATED)
    assert (low, high) == median_interval(UNTREATED)
    assert low < median(UNTREATED) < high
    assert 3 <= low <= 5
    assert 11 <= high <= 12  # Brookmeyer and Crowley's interval for these is 4 to 12
    assert median_interval(UNTREATED, seed=2) == pytest.approx((low, high), abs=1)


def test_what_mostly_does_not_come_has_no_upper_bound() -> None:
    """With eight of twenty-one reached the median may be anything from above the last."""
    low, high = median_interval(TREATED)
    assert 10 <= low <= 16
    assert high == math.inf


def test_too_few_values_have_no_interval() -> None:
    """Five values can't hold their median between them with 95 %, and nothing says that they do."""
    assert 1 - 2 ** (1 - (LEAST - 1)) < 0.95 < 1 - 2 ** (1 - LEAST)
    with pytest.raises(ValueError, match="it takes 6"):
        median_interval(UNTREATED[: LEAST - 1])
    with pytest.raises(ValueError, match="nothing"):
        median([])
