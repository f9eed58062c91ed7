"""The recovery's instant, found in samples alone: facts, and properties that hold for any outage."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model.load import Sample
from harness.model.units import percent, seconds
from harness.slo import Slo
from harness.slo.recovery import find_recovery, window_width
from tests.slo.build import BEGAN, RATE, sample, steady

LIMITS = Slo.recovery(error_503=percent(1), mean=seconds(2)).limits
WIDTH = 101


def _outages(count: int, *outages: tuple[int, int]) -> list[Sample]:
    """`count` requests of which those in each `outages` (first, after the last) were refused."""
    return [
        sample(i / RATE, status=503 if any(a <= i < b for a, b in outages) else 200, took=0.05) for i in range(count)
    ]


@pytest.mark.parametrize(
    ("limits", "width"),
    [
        (LIMITS, 101),  # one of 101 is below 1 %
        (Slo.availability(at_least=percent(99.9)).limits, 1001),
        (Slo.latency(p95=seconds(1)).limits, 30),  # 21 would do for the p95
        (Slo.latency(mean=seconds(1)).limits, 30),
    ],
)
def test_a_window_tolerates_one_failure(limits: object, width: int) -> None:
    """A window holds so many requests that one failure among them keeps the limits."""
    assert window_width(limits) == width  # type: ignore[arg-type]  # Limits


def test_a_clean_change_is_found_to_the_request() -> None:
    """Where everything failed and then nothing, recovery is the first request that was answered."""
    found = find_recovery(_outages(1000, (200, 500)), LIMITS)
    assert found is not None
    assert found.hit == BEGAN + 2.0
    assert found.latest == BEGAN + 5.0
    assert found.earliest is not None
    assert 0 < found.latest - found.earliest < 3.5 / RATE  # three failures don't refute 1 % of 101
    assert found.spacing == pytest.approx(1 / RATE)
    assert found.relapses == ()
    assert len(found.rest) == 500


def test_relapses_are_counted_and_the_last_one_decides() -> None:
    """Recovery is after the last relapse, and each relapse is told with its instant."""
    found = find_recovery(_outages(2000, (200, 400), (700, 760), (1100, 1110)), LIMITS)
    assert found is not None
    assert found.hit == BEGAN + 2.0
    assert found.relapses == (BEGAN + 7.0, BEGAN + 11.0)
    assert found.latest == BEGAN + 11.1


@pytest.mark.parametrize("failures", [1, 3])
def test_a_few_failures_are_no_relapse(failures: int) -> None:
    """Three failures among a window's 101 requests don't refute 1 %, and move nothing."""
    found = find_recovery(_outages(2000, (200, 400), (1000, 1000 + failures)), LIMITS)
    assert found is not None
    assert (found.relapses, found.latest) == ((), BEGAN + 4.0)


def test_never_hit() -> None:
    """Where no window was broken there is no hit."""
    found = find_recovery(_outages(500), LIMITS)
    assert found is not None
    assert (found.hit, found.earliest, found.latest) == (None, BEGAN, BEGAN)


def test_still_broken_at_the_end() -> None:
    """An outage that lasts until the end has no recovery."""
    found = find_recovery(_outages(500, (200, 500)), LIMITS)
    assert found is not None
    assert (found.hit, found.earliest, found.latest, found.rest) == (BEGAN + 2.0, None, None, ())


def test_failures_at_the_very_end_are_no_recovery() -> None:
    """A relapse in the last requests leaves no recovery, however long it was quiet before."""
    found = find_recovery(_outages(3000, (200, 400), (2990, 3000)), LIMITS)
    assert found is not None
    assert found.latest is None


def test_too_few_requests_for_a_window() -> None:
    """Fewer requests than a window holds tell nothing."""
    assert find_recovery(_outages(WIDTH - 1), LIMITS) is None
    assert find_recovery([], LIMITS) is None


def test_slow_answers_are_an_outage_too() -> None:
    """Recovery is where answers became quick again, not where the mean of a window had been diluted enough."""
    samples = [*steady(0, 2), *steady(2, 5, took=20.0), *steady(5, 10)]
    found = find_recovery(samples, LIMITS)
    assert found is not None
    assert (found.hit, found.latest) == (BEGAN + 2.0, BEGAN + 5.0)
    assert found.earliest is not None
    assert found.earliest < BEGAN + 5.0


def test_accepted_503s_still_break_the_limit() -> None:
    """A 503 counts whatever the user's own code made of it."""
    samples = [*steady(0, 2), *steady(2, 5, status=503, ok=True), *steady(5, 10)]
    found = find_recovery(samples, LIMITS)
    assert found is not None
    assert (found.hit, found.latest) == (BEGAN + 2.0, BEGAN + 5.0)


_BURSTS = st.lists(st.tuples(st.integers(5, 150), st.integers(2 * WIDTH, 400)), min_size=1, max_size=4)


@given(st.integers(0, 300), _BURSTS)
@settings(max_examples=40, deadline=None)
def test_any_outages_are_found_as_they_were(calm: int, bursts: list[tuple[int, int]]) -> None:
    """For any outages that lie at least two windows apart: the first hit, each relapse and the end are found to the
    request, and the bracket holds the truth."""
    outages, at = [], calm
    for bad, good in bursts:
        outages.append((at, at + bad))
        at += bad + good
    samples = _outages(at, *outages)
    found = find_recovery(samples, LIMITS)
    assert found is not None
    assert found.hit == samples[outages[0][0]].planned
    assert found.relapses == tuple(samples[began].planned for began, _ in outages[1:])
    truth = samples[outages[-1][1]].planned
    assert found.latest == truth
    assert found.earliest is not None
    assert found.earliest <= truth
    assert all(one.ok for one in found.rest)


@given(st.randoms(use_true_random=False), st.integers(WIDTH, 600), st.sampled_from([0.0, 0.005, 0.02, 0.05, 0.5]))
@settings(max_examples=40, deadline=None)
def test_no_window_after_recovery_is_broken(dice: Random, count: int, share: float) -> None:
    """Whatever the samples: after the recovery nothing recovers any more, because nothing breaks."""
    samples = [sample(i / RATE, status=503 if dice.random() < share else 200) for i in range(count)]
    found = find_recovery(samples, LIMITS)
    assert found is not None
    if found.latest is not None and len(found.rest) >= WIDTH:
        again = find_recovery(found.rest, LIMITS)
        assert again is not None
        assert again.hit is None
        assert found.earliest is not None
        assert found.earliest <= found.latest
