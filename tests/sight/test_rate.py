"""What rate(), increase() and irate() make of samples."""

from __future__ import annotations

import pytest

from harness.sight.rate import Edition, Function, Samples

OLD = Edition.of((2, 42))
NEW = Edition.of((3, 5))
EVEN = [(15.0 * number, 30.0 * number) for number in range(41)]  # 2 a second for ten minutes


@pytest.mark.parametrize(
    ("function", "at", "expected"),
    [
        ("rate", 600.0, 2.0),
        ("rate", 607.0, 2.0),  # to the end of the range
        ("increase", 607.0, 600.0),
        ("irate", 607.0, 2.0),
        ("rate", 880.0, 2.0 * (5 + 15 + 7.5) / 300),  # two samples, the last far from the end
        ("rate", 895.0, None),  # one sample
        ("rate", 5000.0, None),
    ],
)
def test_an_even_counter_has_its_rate(function: Function, at: float, expected: float | None) -> None:
    """An even counter's rate is its slope all through the range, and less where samples end."""
    found = Samples(EVEN).value(function, at, 300.0, NEW)
    assert found == (expected if expected is None else pytest.approx(expected))


def test_a_restart_is_seen_through() -> None:
    """What a counter has counted since it began again at zero is added to what it had."""
    samples = Samples([(0, 100), (15, 130), (30, 10), (45, 40)])
    assert samples.value("increase", 45.0, 45.0, OLD) == pytest.approx(30 + 10 + 30)
    assert samples.value("irate", 31.0, 60.0, NEW) == pytest.approx(10 / 15)


def test_a_range_is_open_to_the_left_since_version_3() -> None:
    """A sample exactly where the range begins counts before 3.0 and not since."""
    samples = Samples([(0, 0), (15, 60), (30, 60)])
    assert samples.value("rate", 30.0, 30.0, OLD) == pytest.approx(2.0)
    assert samples.value("rate", 30.0, 30.0, NEW) == 0.0


def test_nothing_is_extrapolated_below_zero() -> None:
    """Where the first sample is zero the counter began there: no more is added before it."""
    samples = Samples([(10, 0), (20, 100), (30, 200)])
    assert samples.value("increase", 30.0, 25.0, NEW) == pytest.approx(200.0)
    assert Samples([(10, 1000), (20, 1100), (30, 1200)]).value("increase", 30.0, 25.0, NEW) == pytest.approx(250.0)


def test_when_zero_is_thought_of_has_changed() -> None:
    """Before 2.52 the distance to zero came first, so that a far beginning was reached for."""
    samples = Samples([(100, 9), (110, 19), (120, 29)])  # zero would be 9 s before the first
    assert samples.value("increase", 120.0, 60.0, OLD) == pytest.approx(29.0)
    assert samples.value("increase", 120.0, 60.0, Edition(zero_last=True)) == pytest.approx(25.0)
