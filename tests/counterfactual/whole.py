"""Whole: the record of a run of which every kind of claim holds, to be turned by controls.

The alert's story (tests/alerts/story.py) with twelve users a second, who get 503s until a step mends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness import Alert, Control, Logs, Slo, Window, minutes, percent, seconds
from harness.judge import CLAIMED, encode_check, fingerprint
from harness.model.check import Check
from harness.model.load import Sample
from harness.model.record import (
    CommandRecord,
    EffectRecord,
    FaultRecord,
    LogEvidence,
    LogLine,
    Receipt,
    Record,
    Rule,
    Scenario,
    StepRecord,
)
from harness.model.timeline import Event, Span
from tests.alerts.story import EVIDENCE, HEALED, INJECTED, NAME, RECORD, RULE, counter, load

RATE = 12
HIT, MENDING, MENDED = 1020.5, 1040.0, 1041.0
OTHER = Rule(name="Other", expr="rate(x[5s]) > 1", hold=2.0, labels={"severity": "warning"}, health="ok")
OUTAGE, CALM, BETTER, AFTER = Window("outage"), Window("calm"), Window("better"), Window("after")
WELL = Slo.recovery(error_503=percent(4), mean=seconds(2))
SPIKE, QUIET, LOG = Alert(NAME, severity="critical"), Alert("Other", severity="warning"), Logs("app")


def user(number: int, *, bad: bool) -> Sample:
    at = 1000.0 + number / RATE
    return Sample(planned=at, sent=at, ended=at + 0.1, name="n", status=503 if bad else 200, ok=not bad)


USERS = tuple(user(n, bad=HIT <= 1000.0 + n / RATE < MENDED) for n in range(99 * RATE))


def receipt(at: float, in_force: bool, **details: Any) -> Receipt:
    return Receipt(at=at, in_force=in_force, intended="down", measured="down" if in_force else "up", details=details)


FAULT = FaultRecord(
    window="outage",
    description="d",
    settings={},
    injected_at=INJECTED,
    healed_at=HEALED,
    before=(receipt(1019.5, False, traffic=9),),
    during=tuple(receipt(INJECTED + 0.5 + second, True) for second in range(39)),
    after=(receipt(HEALED + 0.1, False), receipt(1099.5, False, traffic=9)),
)


def step(name: str, at: float, purpose: Any, before: str, after: str) -> StepRecord:
    done = CommandRecord(variant="as-written", text="do it", began=at, ended=at + 0.1, exit_status=0, output="")
    effect = EffectRecord(
        claim=f"mode of app == {after}", variant="as-written", before=before, after=after, held=True, at=at + 0.5
    )
    return StepRecord(
        window=name, name=name, source="r.md:1", purpose=purpose, deadline=30.0, commands=(done,), effects=(effect,)
    )


CHECKS: tuple[Check, ...] = (
    SPIKE.fires(within=minutes(8), of=OUTAGE.start),
    SPIKE.delivered(),
    SPIKE.resolves(within=minutes(6), of=OUTAGE.end),
    QUIET.stays_quiet(during=BETTER),
    WELL.during(BETTER),
    WELL.during(CALM, AFTER),
    WELL.within(minutes(5), of=Window("mend").end, by=OUTAGE.end),
    LOG.shows("upstream timeout", during=OUTAGE),
    LOG.lacks("upstream timeout", during=AFTER),
)


def claiming(*checks: Check, **changed: Any) -> Record:
    """The run with these claims, and something changed."""
    plain = tuple(map(encode_check, checks))
    told = Event(at=1099.5, kind=CLAIMED, subject="claims", details={"sha256": fingerprint(plain)})
    return replace(WHOLE, checks=plain, events=(told,), **changed)


def under(control: Control, **changed: Any) -> Record:
    """The run with something left out: without the fault nothing happens, without the step users wait for its end."""
    if control is Control.NO_FAULT:
        users = tuple(user(n, bad=False) for n in range(len(USERS)))
        gone = replace(FAULT, injected_at=None, healed_at=None, before=(), during=(), after=(), skipped=True)
        quiet = replace(WHOLE.alerts, states=(), notifications=())
        left_out: dict[str, Any] = {
            "faults": (gone,),
            "alerts": quiet,
            "logs": (LogEvidence(service="app", texts=("upstream timeout",), first=999.0),),
        }
    else:
        users = tuple(user(n, bad=HIT <= 1000.0 + n / RATE < HEALED) for n in range(len(USERS)))
        left_out = {"steps": tuple(replace(one, skipped=True, commands=(), effects=()) for one in WHOLE.steps)}
    return claiming(*CHECKS, **{"control": control, "samples": users, **left_out, **changed})


CENSUS: Mapping[str, str] = {"mode of app": "plain", "limit of app": "20"}
WHOLE = replace(
    RECORD,
    scenario=Scenario(name="whole", hypothesis="h", fingerprint="now"),
    windows=(
        Span(name="load", kind="load", began=1000.0, ended=1099.0),
        Span(name="calm", kind="observe", began=1005.0, ended=1015.0),
        Span(name="outage", kind="fault", began=INJECTED, ended=HEALED),
        Span(name="mend", kind="step", began=MENDING, ended=MENDED),
        Span(name="better", kind="observe", began=1045.0, ended=1055.0),
        Span(name="take back", kind="step", began=1062.0, ended=1063.0),
        Span(name="after", kind="observe", began=1080.0, ended=1090.0),
    ),
    faults=(FAULT,),
    steps=(step("mend", MENDING, "mitigate", "plain", "spare"), step("take back", 1062.0, "restore", "spare", "plain")),
    loads=(load(USERS, 1000.0, 1099.0),),
    samples=USERS,
    alerts=replace(
        EVIDENCE, rules=(RULE, OTHER), rules_at_end=(RULE, OTHER), inputs={NAME: (counter(),), "Other": (counter(),)}
    ),
    logs=(
        LogEvidence(
            service="app",
            texts=("upstream timeout",),
            lines=(LogLine(text="ERROR upstream timeout", began=1030.0, ended=1030.0),),
            first=999.0,
        ),
    ),
    census_before=CENSUS,
    census_after=CENSUS,
)
KEPT = claiming(*CHECKS)
