"""ab's figures and its report, from requests whose figures can be told by hand."""

from __future__ import annotations

import math

import pytest

from harness.benchmark.figures import Figures, at_place, report
from harness.model.benchmark import Reply
from tests.benchmark.build import reply

HUNDRED = [reply(number / 1000) for number in range(1, 101)]  # 1 ms to 100 ms
NOT_TAKEN = Reply(sent=1.0, connected=None, first=None, ended=1.1, status=0, received=0, length=0, error="refused")


@pytest.mark.parametrize(
    ("values", "percentage", "value"),
    [
        (range(1, 101), 50, 51),  # the one at place 50, counted from 0
        (range(1, 101), 99, 100),
        (range(1, 101), 100, 100),
        (range(1, 1001), 99, 991),
        ([7], 99, 7),
        ([], 99, math.inf),
    ],
)
def test_abs_percentile_is_the_value_at_a_place(values: list[float], percentage: int, value: float) -> None:
    """It is the value at place n * p / 100 of n in order, and not the nearest rank: one further up."""
    assert at_place(list(values), percentage) == value


def test_the_two_times_per_request() -> None:
    """ab's mean is what one of its users waits: the time of the whole test, shared by those at once; the rate is all
    over that time."""
    figures = Figures(replies=HUNDRED, at_once=10, seconds=2.0)
    assert (figures.rate, figures.mean) == (50.0, 0.2)
    text = report("http://h:81/a?b=1", figures)
    for line in (
        "Server Hostname:        h",
        "Server Port:            81",
        "Document Path:          /a?b=1",
        "Concurrency Level:      10",
        "Time taken for tests:   2.000 seconds",
        "Complete requests:      100",
        "Failed requests:        0",
        "Total transferred:      4200 bytes",
        "HTML transferred:       200 bytes",
        "Requests per second:    50.00 [#/sec] (mean)",
        "Time per request:       200.000 [ms] (mean)",
        "Time per request:       20.000 [ms] (mean, across all concurrent requests)",
        "Total:          1   51  29.0     50     100",
        "  50%     51",
        "  99%    100",
        " 100%    100 (longest request)",
    ):
        assert f"\n{line}\n" in text, line
    assert "Non-2xx" not in text


def test_what_a_report_counts_as_failed() -> None:
    """Another length, no whole answer and no connection are failed; a status other than 2xx is counted apart."""
    odd = [reply(length=5), reply(status=503), reply(status=0, error="closed without an answer", length=0), NOT_TAKEN]
    text = report("http://h/", Figures(replies=[reply(), *odd], at_once=1, seconds=1.0))
    assert "\nComplete requests:      4\nFailed requests:        3\n" in text
    assert "\n   (Connect: 1, Receive: 1, Length: 1, Exceptions: 0)\nNon-2xx responses:      1\n" in text
    assert "\nFailed requests:        2\n" in report(
        "http://h/", Figures(replies=[reply(), *odd], at_once=1, seconds=1.0), variable_length=True
    )


def test_nothing_measured_is_no_figure() -> None:
    """Where nobody took a connection there is no rate and no percentage to read."""
    text = report("http://h/", Figures(replies=[NOT_TAKEN], at_once=1, seconds=1.0))
    assert "Complete requests:      0\nFailed requests:        1\n" in text
    assert "per second" not in text
    assert "99%" not in text
