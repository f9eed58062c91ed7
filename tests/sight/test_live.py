"""A live Prometheus fires when it is computed, and does not where it is computed that it never will."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.sight.outage import Outage
from harness.sight.schedule import Schedule
from harness.sight.shape import shape_of
from harness.sight.spots import detection, shortest
from harness.sight.states import Watched
from tests.alerts import live as live_servers
from tests.alerts.live import live

pytestmark = pytest.mark.integration

# As it is loaded sixty times as fast: shorter than the shipped one, so that the test is.
RULES = live_servers.RULES.replace("[5m]", "[2m]").replace("for: 2m", "for: 1m")
RULE = Watched(
    shape=shape_of('rate(http_requests_total{status="503"}[2s]) > 20'),
    hold=1.0,
    keep=0.0,
    schedule=Schedule(scrape=0.25, timeout=0.25, evaluation=0.25),
)


def test_a_live_prometheus_agrees(tmp_path: Path) -> None:
    """Half the shortest outage that pages does not, and a long one does, within an evaluation of what is computed."""
    outage = Outage(traffic=80)
    least = shortest(RULE, outage, 1.0).length.best
    expected = detection(RULE, outage)
    assert least is not None
    assert expected.best is not None
    assert expected.worst is not None
    with live(tmp_path) as running:
        running.reconfigure(rules=RULES)
        running.wait(lambda: running.targets() == 1)
        running.pause(2.5)  # until all of the range is filled
        with running.outage(outage.traffic):
            running.pause(least / 2)
        running.pause(2.5)  # until nothing of it is left in the range
        quiet_until = running.clock.now()
        with running.outage(outage.traffic):
            running.pause(expected.worst + 0.5)
        record = running.record()
    states = [one for one in record.alerts.states if one.name == "HTTP503ErrorSpike" and one.state == "firing"]
    assert all(one.at > quiet_until for one in states)
    after = min(one.at for one in states) - running.windows[0].began
    assert expected.best - 0.25 <= after <= expected.worst + 0.25
