"""Incident: a recorded run in which a target was down, people waited for the alert and then brought it back.

Scale 60. The target `api` is down from 1020 until people respond to the alert: it is scraped well again at 1023. The
rule is looked at every 0.25 s, a tenth after each quarter; it is pending from 1020.1 and fires from 1022.1 to 1022.85.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from harness.alerts.alert import Alert
from harness.alerts.rules import WrittenRule, read_rules
from harness.judge import encode_check
from harness.model.record import AlertEvidence, AlertSample, Record, Rule, Scenario, Series
from harness.model.timeline import Span, Window
from harness.model.verdict import Control
from tests.alerts.story import load, user

STEP, SCALE = 0.25, 60.0
BEGAN, DOWN, WELL, ENDED = 1000.0, 1020.0, 1023.0, 1040.0
RULES = """
groups:
  - name: g
    rules:
      - alert: Down
        expr: up{job="api"} == 0
        for: 2m
        labels: {severity: critical}
"""
API = {"job": "api", "instance": "127.0.0.1:7"}
WEB = {"job": "web", "instance": "127.0.0.1:8"}
WAIT = 'wait for Down{job="api",severity="critical"} is firing'
ALERT = Alert("Down", severity="critical", job="api")
OUTAGE = Window("outage")


def rule(text: str = RULES) -> WrittenRule:
    (written,) = read_rules(text, "rules.yml")
    return written


def instants(began: float, ended: float) -> list[float]:
    return [began + number * STEP for number in range(round((ended - began) / STEP))]


def scrapes(target: dict[str, str], down: tuple[float, float] | None = None) -> Series:
    points = tuple((at, 0.0 if down is not None and down[0] <= at < down[1] else 1.0) for at in instants(BEGAN, ENDED))
    return Series(labels={"__name__": "up", **target}, points=points)


def samples(state: Literal["pending", "firing"], began: float, ended: float) -> tuple[AlertSample, ...]:
    """The alert at every evaluation from `began` until before `ended`."""
    labels = {**API, "severity": "critical"}
    return tuple(AlertSample(at=at, name="Down", state=state, labels=labels) for at in instants(began, ended))


STORY = (*samples("pending", DOWN + 0.1, DOWN + 2.1), *samples("firing", DOWN + 2.1, WELL + 0.1))
LOADED = Rule(name="Down", expr='up{job="api"} == 0', hold=2.0, labels={"severity": "critical"}, health="ok")
UP = (scrapes(API, (DOWN, WELL)), scrapes(WEB))
EVIDENCE = AlertEvidence(
    read=True,
    states=STORY,
    rules=(LOADED,),
    rules_at_end=(LOADED,),
    up=UP,
    inputs={"Down": (UP[0], Series(labels=API, points=()))},
    notifications_read=True,
    scrape_interval=STEP,
    evaluation_interval=STEP,
)
USERS = tuple(user(at) for at in instants(BEGAN, ENDED))


def incident(*checks: Any, **evidence: Any) -> Record:
    """The run with `checks` as its claims, or with other evidence."""
    return Record(
        run_id="r",
        scenario=Scenario(name="api_down", hypothesis="h"),
        control=Control.NONE,
        time_scale=SCALE,
        seed=1,
        runtime="processes",
        began=BEGAN,
        ended=ENDED,
        windows=(
            Span(name="load", kind="load", began=BEGAN, ended=ENDED),
            Span(name="calm", kind="observe", began=BEGAN + 5, ended=BEGAN + 15),
            Span(name="outage", kind="observe", began=DOWN, ended=WELL),
            Span(name=WAIT, kind="wait", began=DOWN + 0.05, ended=DOWN + 2.2),
            Span(name="after", kind="observe", began=WELL + 4, ended=ENDED - 3),
        ),
        alerts=replace(EVIDENCE, **evidence),
        loads=(load(USERS, BEGAN, ENDED),),
        samples=USERS,
        checks=tuple(encode_check(check) for check in checks),
    )


def fires(minutes: float) -> Any:
    return ALERT.fires(within=timedelta(minutes=minutes), of=OUTAGE.start)


def resolves(minutes: float) -> Any:
    return ALERT.resolves(within=timedelta(minutes=minutes), of=OUTAGE.end)


CALM = ALERT.stays_quiet(Window("calm"), Window("after"))
