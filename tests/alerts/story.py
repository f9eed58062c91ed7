"""Story: the record of a run in which an alert fired, was delivered and resolved, to be spoilt by tests.

Scale 60: one wall second is a runbook minute. The outage lasts from 1020 to 1060, the alert is pending from 1021, fires
from 1023 to 1065, is delivered at 1023.2 and its end at 1066; the run ends at 1100. Everything is seen every 0.25 s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from harness.model.load import Sample
from harness.model.record import (
    AlertEvidence,
    AlertSample,
    FaultRecord,
    Gap,
    LoadRecord,
    Notification,
    Record,
    Rule,
    Scenario,
    Series,
)
from harness.model.timeline import Span
from harness.model.verdict import Control

NAME = "HTTP503ErrorSpike"
STEP = 0.25
BEGAN, INJECTED, PENDING, FIRING, DELIVERED, HEALED, LAST, TOLD, ENDED = (
    1000.0,
    1020.0,
    1021.0,
    1023.0,
    1023.2,
    1060.0,
    1065.0,
    1066.0,
    1100.0,
)
LABELS = {"severity": "critical", "job": "generation-service", "instance": "127.0.0.1:7", "status": "503"}
TARGET = {"job": "generation-service", "instance": "127.0.0.1:7"}
RULE = Rule(
    name=NAME,
    expr='rate(http_requests_total{status="503"}[5s]) > 20',
    hold=2.0,
    labels={"severity": "critical"},
    health="ok",
)


def every_step(began: float, ended: float) -> list[float]:
    """Every evaluation from `began` to `ended`, both included."""
    return [began + number * STEP for number in range(round((ended - began) / STEP) + 1)]


def active(
    state: Literal["pending", "firing"], began: float, ended: float, labels: Mapping[str, str] | None = None
) -> tuple[AlertSample, ...]:
    """The samples of an alert that was found active at every evaluation from `began` to `ended`."""
    return tuple(
        AlertSample(at=at, name=NAME, state=state, labels=labels or LABELS, active_since=float(int(began)))
        for at in every_step(began, ended)
    )


def scraped(
    began: float = BEGAN, ended: float = ENDED, *, up: float = 1.0, target: Mapping[str, str] = TARGET
) -> Series:
    """The series `up` of a target."""
    points = tuple((at, up) for at in every_step(began, ended))
    return Series(labels={"__name__": "up", **target}, points=points)


def joined(*series: Series) -> Series:
    """One series with the points of several."""
    return Series(labels=series[0].labels, points=tuple(sorted(point for one in series for point in one.points)))


def counter(*, target: Mapping[str, str] = TARGET) -> Series:
    """The counter of 503s: still until the outage, growing in it."""
    points = tuple((at, min(max(0.0, at - 1020.5), 40.0) * 60) for at in every_step(BEGAN, ENDED))
    return Series(labels={"__name__": "http_requests_total", "status": "503", **target}, points=points)


def note(
    at: float = DELIVERED,
    status: Literal["firing", "resolved"] = "firing",
    *,
    starts_at: float = FIRING,
    labels: Mapping[str, str] | None = None,
) -> Notification:
    """One delivered notification."""
    return Notification(
        at=at,
        status=status,
        name=NAME,
        labels=labels or LABELS,
        starts_at=starts_at,
        ends_at=None if status == "firing" else at,
        fingerprint="8b2705a93cb18246",
    )


def user(at: float, *, bad: bool = False) -> Sample:
    """One request that was planned for `at`."""
    return Sample(planned=at, sent=at, ended=at + 0.1, name="n", status=503 if bad else 200, ok=not bad)


def load(users: Sequence[Sample], began: float, ended: float) -> LoadRecord:
    """The account of a load that sent all of `users`."""
    count = len(users)
    return LoadRecord(
        window="load",
        plan="p",
        target="t",
        began=began,
        ended=ended,
        planned=count,
        sent=count,
        finished=count,
        in_flight=0,
        dropped=0,
        complete=True,
        lateness_p99=0.001,
        lateness_max=0.002,
        generator_cpu=0.1,
        samples_count=count,
    )


STATES = (*active("pending", PENDING, FIRING - STEP), *active("firing", FIRING, LAST))
EVIDENCE = AlertEvidence(
    read=True,
    states=STATES,
    rules=(RULE,),
    rules_at_end=(RULE,),
    up=(scraped(),),
    inputs={NAME: (counter(), Series(labels=TARGET, points=()))},
    notifications=(note(), note(TOLD, "resolved")),
    notifications_read=True,
    scrape_interval=STEP,
    evaluation_interval=STEP,
)
USERS = tuple(
    user(at, bad=1020.5 < at < 1060.0)
    for at in (*every_step(1005.0, 1015.0), 1020.1, 1020.6, 1020.7, *every_step(1080.0, 1095.0))
)
LOAD = load(USERS, 1000.0, 1099.0)
RECORD = Record(
    run_id="r",
    scenario=Scenario(name="s", hypothesis="h"),
    control=Control.NONE,
    time_scale=60.0,
    seed=1,
    runtime="processes",
    began=BEGAN,
    ended=ENDED,
    windows=(
        Span(name="load", kind="load", began=1000.0, ended=1099.0),
        Span(name="calm", kind="observe", began=1005.0, ended=1015.0),
        Span(name="outage", kind="fault", began=INJECTED, ended=HEALED),
        Span(name="after", kind="observe", began=1080.0, ended=1090.0),
        Span(name="blink", kind="observe", began=1090.0, ended=1090.1),
        Span(name="broken off", kind="observe", began=1095.0, ended=None),
    ),
    faults=(FaultRecord(window="outage", description="d", settings={}, injected_at=INJECTED, healed_at=HEALED),),
    alerts=EVIDENCE,
    loads=(LOAD,),
    samples=USERS,
)


def told(**evidence: Any) -> Record:
    """The story with some of its evidence replaced."""
    return replace(RECORD, alerts=replace(EVIDENCE, **evidence))


def gap(began: float, ended: float, source: str = "prometheus") -> Gap:
    """A stretch in which `source` was silent."""
    return Gap(source=source, began=began, ended=ended, problem="connection refused")


def without(states: Sequence[AlertSample], began: float, ended: float) -> tuple[AlertSample, ...]:
    """`states` less those between `began` and `ended`."""
    return tuple(one for one in states if not began <= one.at <= ended)
