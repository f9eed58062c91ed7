"""The whole way with real servers: an outage is seen, delivered and over; and what is concluded when it is spoilt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.alerts.alert import Alert
from harness.model.record import Record
from harness.model.timeline import Window
from harness.model.units import minutes
from harness.model.verdict import Outcome
from tests.alerts.live import RULES, SCALE, Live, live

pytestmark = pytest.mark.integration

ALERT = Alert("HTTP503ErrorSpike", severity="critical")
DOWN = Alert("CriticalServiceDown", job="api")
OUTAGE, LOAD = Window("outage"), Window("load")
CHECKS = (
    ALERT.fires(within=minutes(10), of=OUTAGE.start),
    ALERT.delivered(within=minutes(3)),
    ALERT.resolves(within=minutes(10), of=OUTAGE.end),
    DOWN.stays_quiet(LOAD),
)
PASS, FAIL, UNKNOWN, INVALID = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN, Outcome.INVALID


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path) as servers:
        servers.pause(1.5)
        yield servers


def outcomes(record: Record) -> list[Outcome]:
    verdicts = [check.judge(record) for check in CHECKS]
    print(*verdicts, record.alerts.gaps, sep="\n")  # noqa: T201 - pytest shows it where the test fails
    return [verdict.outcome for verdict in verdicts]


def minute(count: float) -> float:
    """So many runbook minutes in wall seconds."""
    return count * 60 / SCALE


def test_a_sound_story(servers: Live) -> None:
    """The alert fires, is delivered and resolves; the other one stays quiet; each with its instant."""
    with servers.outage():
        assert servers.wait(lambda: servers.watch.holds(ALERT.firing))
        servers.pause(minute(2))
    assert servers.wait(lambda: servers.watch.holds(ALERT.quiet))
    servers.pause(minute(3))
    record = servers.record()
    assert outcomes(record) == [PASS, PASS, PASS, PASS]
    assert [note.status for note in record.alerts.notifications] == ["firing", "resolved"]
    states = [one.state for one in servers.watch.transitions()]
    assert states == ["pending", "firing", "inactive"]


def test_a_target_that_is_down(servers: Live) -> None:
    """`up == 0` is seen although, and because, the target can't be scraped; what it feeds besides can't be told."""
    down = (DOWN.fires(within=minutes(3), of=OUTAGE.start), DOWN.resolves(within=minutes(3), of=OUTAGE.end))
    with servers.outage(errors=None):
        assert servers.wait(lambda: servers.watch.holds(DOWN.firing))
        servers.pause(minute(2))
    assert servers.wait(lambda: servers.watch.holds(DOWN.quiet))
    servers.pause(minute(2))
    record = servers.record()
    assert [check.judge(record).outcome for check in down] == [PASS, PASS]
    assert ALERT.stays_quiet(OUTAGE).judge(record).outcome is UNKNOWN


def test_no_fault(servers: Live) -> None:
    """Without errors nothing fires, and the claims that something does fail."""
    with servers.outage(errors=0.0):
        servers.pause(minute(11))
    assert outcomes(servers.record()) == [FAIL, FAIL, FAIL, PASS]


def test_the_rule_deleted(servers: Live) -> None:
    """Without its rule the alert does not fire: FAIL, for that is what would happen in earnest."""
    servers.reconfigure(rules=RULES.replace("HTTP503ErrorSpike", "Other"))
    with servers.outage():
        servers.pause(minute(11))
    assert outcomes(servers.record())[:3] == [FAIL, FAIL, FAIL]


def test_the_rule_deleted_while_it_fires(servers: Live) -> None:
    """An alert that goes quiet because its rule went has not resolved."""
    with servers.outage():
        assert servers.wait(lambda: servers.watch.holds(ALERT.firing))
        servers.pause(minute(2))
        servers.reconfigure(rules=RULES.replace("HTTP503ErrorSpike", "Other"))
    servers.pause(minute(3))
    assert outcomes(servers.record())[:3] == [PASS, PASS, FAIL]


def test_the_target_not_scraped_any_more(servers: Live) -> None:
    """An alert that can't see its input has neither failed to fire nor stayed quiet."""
    servers.reconfigure(targets=[])
    assert servers.wait(lambda: servers.targets() == 0)
    with servers.outage():
        servers.pause(minute(11))
    record = servers.record()
    assert outcomes(record) == [UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN]


def test_the_target_not_scraped_any_more_while_it_fires(servers: Live) -> None:
    """An alert that goes quiet because nobody looks any more has not resolved."""
    with servers.outage():
        assert servers.wait(lambda: servers.watch.holds(ALERT.firing))
        servers.pause(minute(2))
        servers.reconfigure(targets=[])
        assert servers.wait(lambda: servers.targets() == 0)
    servers.pause(minute(11))
    assert outcomes(servers.record())[:3] == [PASS, PASS, UNKNOWN]


def test_prometheus_killed(servers: Live) -> None:
    """Without Prometheus nothing is known, and it takes no time to say so."""
    servers.kill("prometheus")
    with servers.outage():
        assert servers.wait(lambda: bool(servers.watch.blind()))
    assert outcomes(servers.record()) == [UNKNOWN] * 4


def test_alertmanager_killed(servers: Live) -> None:
    """Without Alertmanager nothing is delivered: never a PASS."""
    servers.kill("alertmanager")
    with servers.outage():
        assert servers.wait(lambda: servers.watch.holds(ALERT.firing))
        servers.pause(minute(3))
    assert outcomes(servers.record())[:2] == [PASS, UNKNOWN]


def test_the_receiver_killed(servers: Live) -> None:
    """Without the receiver nobody knows what was delivered."""
    servers.kill("receiver")
    with servers.outage():
        assert servers.wait(lambda: servers.watch.holds(ALERT.firing))
        servers.pause(minute(3))
    assert outcomes(servers.record())[:2] == [PASS, UNKNOWN]
