"""How the time from a fault to the page comes apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter

from harness.alerts.alert import Alert
from harness.alerts.detection import detections
from harness.model.record import FaultRecord, Record, Series
from harness.model.timeline import Window
from harness.model.units import minutes
from tests.alerts.story import ENDED, EVIDENCE, INJECTED, NAME, RECORD, STATES, STEP, TARGET, every_step, told, without

FIRES = Alert(NAME, severity="critical").fires(within=minutes(8), of=Window("outage").start)
PLAIN: dict[str, Any] = TypeAdapter(type(FIRES)).dump_python(FIRES, mode="json")


def claimed(record: Record) -> Record:
    return replace(record, checks=(PLAIN,))


def test_each_stage_has_its_instant() -> None:
    """From the injection on: the first bad answer, the scrape that shows it, pending, firing, delivered."""
    (detection,) = detections(claimed(RECORD))
    assert [(stage.name, round(stage.at - INJECTED, 3)) for stage in detection.stages] == [
        ("user impact", 0.6),
        ("first scrape", 0.75),
        ("pending", 1.0),
        ("firing", 3.0),
        ("delivered", 3.2),
    ]


def test_times_are_runbook_time_with_their_resolution() -> None:
    """The whole ends with the last stage, and every stage is counted from the injection."""
    (detection,) = detections(claimed(RECORD))
    times = detection.times()
    assert list(times)[:2] == ["detection", "detection/user impact"]
    assert times["detection"].value_seconds_runbook == pytest.approx(192)
    firing = times["detection/firing"]
    assert (firing.value_seconds_runbook, firing.wall_seconds, firing.resolution_seconds) == (180, 3, 60 * STEP)
    assert str(detection).endswith("firing 3 min, delivered 3 min 12 s")


@pytest.mark.parametrize(
    ("record", "stages"),
    [
        (replace(RECORD, samples=()), ["first scrape", "pending", "firing", "delivered"]),
        (told(inputs={}), ["user impact", "pending", "firing", "delivered"]),
        (told(notifications=()), ["user impact", "first scrape", "pending", "firing"]),
        (told(states=without(STATES, 1023, ENDED)), ["user impact", "first scrape", "pending"]),
        (told(states=()), ["user impact", "first scrape"]),
    ],
)
def test_a_stage_that_was_not_seen_is_left_out(record: Record, stages: list[str]) -> None:
    """Nothing is made up for a stage without evidence, and an unfinished detection has no whole."""
    (detection,) = detections(claimed(record))
    assert [stage.name for stage in detection.stages] == stages
    assert ("detection" in detection.times()) == ("firing" in stages)


def test_an_input_that_always_moves_does_not_show_the_fault() -> None:
    """A count of all requests grows before the fault too: it can't tell when the fault was first seen."""
    points = tuple((at, at) for at in every_step(1000.0, ENDED))
    everything = Series(labels={"__name__": "all", **TARGET}, points=points)
    (detection,) = detections(claimed(told(inputs={NAME: (*EVIDENCE.inputs[NAME], everything)})))
    assert detection.stages[1].at == 1020.75


@pytest.mark.parametrize(
    "record",
    [
        RECORD,  # no check claims that anything fires
        replace(claimed(RECORD), faults=()),
        replace(claimed(RECORD), faults=(FaultRecord(window="outage", description="d", settings={}, skipped=True),)),
    ],
)
def test_without_a_fault_there_is_nothing_to_detect(record: Record) -> None:
    """A detection needs a fault that was injected, and an alert that is meant to see it."""
    assert detections(record) == ()
