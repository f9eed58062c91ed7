"""What is asked of Prometheus for claims about levels, and what becomes of its answers."""

from __future__ import annotations

import pytest

from harness import Logs, Window
from harness.judge import encode_check
from harness.levels.collect import LevelReader
from harness.model.timeline import Span
from tests.alerts.fake_servers import serving
from tests.levels.build import CPU

LATER = Span(name="later", kind="observe", began=1000.0, ended=1010.0)
CHECKS = [
    encode_check(CPU.below(1).during(Window("later"))),
    encode_check(CPU.at_least(0).during(Window("later"))),
    encode_check(Logs("app").lacks("x", Window("later"))),
]
FOUND = {"metric": {"job": "app"}, "values": [[1000.25, "0.5"], [1000.5, "NaN"], [1000.75, "0.25"]]}


def test_it_asks_for_the_window_in_wall_time() -> None:
    """Ranges are divided by the time scale, and asking begins with the first scrape of the window; the same expression
    is asked for once, and values that are none are left out."""
    with serving() as script:
        script.queries["("] = [FOUND]
        (evidence,) = LevelReader(url=script.url, scale=60.0).read(CHECKS, [LATER])
    assert script.asked == ["(rate(cpu_seconds_total[5s]) / cores)[9750ms:250ms]"]
    assert (evidence.expr, evidence.window, evidence.began, evidence.step) == (CPU.expr, "later", 1000.25, 0.25)
    assert [series.points for series in evidence.series] == [((1000.25, 0.5), (1000.75, 0.25))]


def test_a_long_window_is_asked_in_longer_steps() -> None:
    """A record stays small however long the run was."""
    with serving() as script:
        long = Span(name="later", kind="observe", began=0.0, ended=4000.25)
        (evidence,) = LevelReader(url=script.url, scale=1.0).read(CHECKS, [long])
    assert evidence.step == 10.0


@pytest.mark.parametrize(("ended", "said"), [(None, "never ended"), (1000.1, "shorter than the time between scrapes")])
def test_a_window_that_shows_nothing_is_a_problem(ended: float | None, said: str) -> None:
    """Where no scrape lies within a window, its values are of the time before."""
    with serving() as script:
        span = Span(name="later", kind="observe", began=1000.0, ended=ended)
        (evidence,) = LevelReader(url=script.url, scale=60.0).read(CHECKS, [span])
    assert said in evidence.problem
    assert script.asked == []


def test_a_prometheus_that_is_gone_is_a_problem() -> None:
    """What can't be read is said, once for each claim, and never raised."""
    with serving() as script:
        script.down.add("prometheus")
        (evidence,) = LevelReader(url=script.url, scale=60.0).read(CHECKS, [LATER])
    assert "Prometheus at" in evidence.problem


def test_nothing_is_asked_where_nothing_is_claimed() -> None:
    """Without a claim about a level nobody is asked, and windows that never were have no evidence."""
    reader = LevelReader(url="http://127.0.0.1:1", scale=60.0)
    assert reader.read(CHECKS[2:], [LATER]) == ()
    with serving() as script:
        assert LevelReader(url=script.url, scale=60.0).read(CHECKS, []) == ()
