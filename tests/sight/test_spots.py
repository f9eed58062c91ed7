"""What a rule misses: the numbers, and the sentences."""

from __future__ import annotations

from datetime import timedelta

import pytest

from harness.alerts.rules import WrittenRule
from harness.model.blindspots import Delay
from harness.sight.look import look
from harness.sight.outage import Outage, duty
from harness.sight.schedule import Schedule
from harness.sight.shape import shape_of
from harness.sight.spots import detection, shortest
from harness.sight.states import Watched

CONFIGURATION = """\
global: {scrape_interval: 15s, evaluation_interval: 30s}
scrape_configs: [{job_name: a}, {job_name: b, scrape_interval: 1m}]
"""
SPIKE = 'rate(x_total{status="503"}[5m]) > 20'


def watched(expr: str, hold: float = 120.0, evaluation: float = 15.0) -> Watched:
    schedule = Schedule(scrape=15.0, timeout=10.0, evaluation=evaluation)
    return Watched(shape=shape_of(expr), hold=hold, keep=0.0, schedule=schedule)


@pytest.mark.parametrize(
    ("outage", "seen"),
    [
        (Outage(traffic=20), False),  # the limit itself is not above it
        (Outage(traffic=20.1), True),
        (Outage(traffic=60, series=3), False),
        (Outage(traffic=60, series=2), True),
        (Outage(traffic=60, share=0.3), False),
        (Outage(traffic=60, uncounted=True), False),
        (Outage(traffic=60, unscraped=True), False),
        (Outage(traffic=60, spells=((0, 60),)), False),
        (Outage(traffic=60, spells=duty(30, 60, 60)), False),
        (Outage(traffic=60, spells=duty(60, 60, 60)), True),
    ],
)
def test_a_limit_on_a_rate_is_one_for_each_series(outage: Outage, seen: bool) -> None:
    """More than the limit must fail on one series, long enough, and be counted; or nobody is ever paged."""
    found = detection(watched(SPIKE), outage)
    assert found.never is not seen
    assert (found.worst is not None) is seen


def test_a_sum_sees_what_is_spread() -> None:
    """With sum() it is the same whether one series fails or sixteen."""
    rule = watched('sum(rate(x_total{status="503"}[5m])) > 20')
    assert detection(rule, Outage(traffic=60, series=16)) == detection(rule, Outage(traffic=60))


@pytest.mark.parametrize(
    ("expr", "outage", "low", "high"),
    [
        ("up == 0", Outage(), 60.0, 90.0),  # `for`, a scrape, an evaluation
        ("up == 0", Outage(hangs=True), 70.0, 105.0),  # a scrape that gets no answer takes its time
        ("up == 0", Outage(spells=((0, 55),)), None, None),
        ("absent(x)", Outage(), 60.0, 90.0),
        ("absent_over_time(x[5m])", Outage(), 345.0, 376.0),
        ("sum(rate(x_total[2m])) == 0", Outage(traffic=60, uncounted=True), 150.0, 200.0),
        ("sum(rate(x_total[2m])) == 0", Outage(traffic=60, uncounted=True, unscraped=True), None, None),
    ],
)
def test_other_shapes_have_their_delays(expr: str, outage: Outage, low: float | None, high: float | None) -> None:
    """The best and the worst phase lie within what scrapes, evaluations and `for` can take."""
    found = detection(watched(expr, 60.0), outage)
    if low is None or high is None:
        assert found.never
        return
    assert found.best is not None
    assert found.worst is not None
    assert low <= found.best < found.worst <= high


def test_the_shortest_outage_is_the_shortest() -> None:
    """None shorter than the best phase's pages, and each longer than the worst phase's does."""
    rule = watched(SPIKE)
    length = shortest(rule, Outage(traffic=60), 1.0).length
    assert length.best is not None
    assert length.worst is not None
    assert detection(rule, Outage(traffic=60, spells=((0, length.best - 1),))).never
    assert detection(rule, Outage(traffic=60, spells=((0, length.worst + 1),))).worst is not None


def written(expr: str, hold: float = 120.0) -> WrittenRule:
    return WrittenRule(
        source="r.yml", group="g", kind="alert", name="A", expr=expr, hold=timedelta(seconds=hold), labels={}
    )  # fmt: skip


def test_a_manager_is_told() -> None:
    """The sentences say below which rate, share and spread nobody is ever paged."""
    seen = look(written(SPIKE), CONFIGURATION, source="p.yml", traffic=60.0)
    said = " ".join(seen.sentences)
    assert "With 20 failing requests a second or fewer on one endpoint" in said
    assert "every outage of 33.3 % or less of them" in said
    assert "spread evenly over 3 or more series" in said
    assert seen.least == 20
    low = look(written(SPIKE), CONFIGURATION, source="p.yml", traffic=15.0)
    assert "every outage, a total one too" in " ".join(low.sentences)
    assert "pages nobody" in " ".join(low.sentences)


def test_the_schedule_is_that_of_the_job() -> None:
    """A rule on one job has that job's interval; on none, the longest of all."""
    assert look(written('up{job="a"} == 0'), CONFIGURATION, source="p.yml", traffic=1.0).scrape == 15.0
    found = look(written("up == 0"), CONFIGURATION, source="p.yml", traffic=1.0)
    assert (found.scrape, found.evaluation) == (60.0, 30.0)


def test_what_is_refused_is_named() -> None:
    """A rule of another shape comes back with the reason and nothing computed."""
    seen = look(written("x > 5"), CONFIGURATION, source="p.yml", traffic=60.0)
    assert seen.refused
    assert (seen.shortest, seen.grids, seen.sentences) == ((), (), ())


def test_a_delay_that_never_comes_says_so() -> None:
    """Never is no number."""
    assert Delay(None, None).never
    assert not Delay(1.0, None).never
