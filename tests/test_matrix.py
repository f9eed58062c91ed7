"""What the matrix of causes and alerts reads from recorded runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import store
from harness.errors import UsageError
from harness.matrix import latest, matrix_of, write
from harness.model.matrix import Cell, Matrix
from harness.model.record import AlertSample, FaultRecord, Receipt, Record, StepRecord
from harness.model.timeline import Span
from harness.model.verdict import Control, Outcome
from tests.alerts.story import (
    EVIDENCE,
    FIRING,
    HEALED,
    INJECTED,
    NAME,
    PENDING,
    RECORD,
    RULE,
    STATES,
    STEP,
    active,
    every_step,
    gap,
    joined,
    load,
    scraped,
    told,
    user,
    without,
)

USERS = tuple(user(at, bad=INJECTED < at < HEALED) for at in every_step(1000.0, 1098.75))
NEVER = without(STATES, 0, 2000)


def receipts(*instants: float, in_force: bool) -> tuple[Receipt, ...]:
    return tuple(Receipt(at=at, in_force=in_force, intended="down", measured="down") for at in instants)


FAULT = FaultRecord(
    window="outage",
    description="upstream down",
    settings={},
    injected_at=INJECTED,
    healed_at=HEALED,
    before=receipts(1019.0, in_force=False),
    during=receipts(*(INJECTED + n for n in range(40)), in_force=True),
    after=receipts(1061.0, in_force=False),
)
SPANS = tuple(span for span in RECORD.windows if span.ended is not None)
SOUND = replace(RECORD, windows=SPANS, faults=(FAULT,), loads=(load(USERS, 1000.0, 1099.0),), samples=USERS)


def story(states: Sequence[AlertSample] = STATES, **evidence: Any) -> Record:
    """The sound story with other states, or with some of its evidence replaced."""
    return replace(SOUND, alerts=told(states=tuple(states), **evidence).alerts)


def cell(record: Record) -> Cell:
    (row,) = matrix_of([record]).rows
    return row.cells[NAME]


def test_an_alert_that_fired_has_its_time() -> None:
    """From the injection to firing, in runbook time, known to one evaluation."""
    (row,) = matrix_of([SOUND]).rows
    assert row.cells[NAME] == Cell(sight="fired", after=(FIRING - INJECTED) * 60, resolution=STEP * 60)
    assert (row.cause, row.scenario) == ("upstream down", "s")
    assert row.hit == pytest.approx(159 / 160)


def test_how_many_users_were_hit_is_known_only_of_all_of_them() -> None:
    """The share counts the requests until people responded, and needs an account of every one."""
    (row,) = matrix_of([replace(SOUND, loads=(replace(SOUND.loads[0], complete=False),))]).rows
    assert row.hit is None


@pytest.mark.parametrize(
    ("record", "sight"),
    [
        (story(NEVER), "quiet"),
        (story(active("pending", PENDING, PENDING + 2)), "pending"),
        (story(active("firing", 1005.0, 1010.0)), "quiet"),  # over before the fault
        (story(active("firing", 1018.0, 1030.0)), "unknown"),  # it fired already
        (story(active("pending", 1060.5, 1060.75) + active("firing", 1061.0, 1065.0)), "fired"),  # on its way
        (story(active("firing", 1070.0, 1080.0)), "quiet"),  # long after the healing: not of this cause
        (story(NEVER, up=(joined(scraped(1000.0, 1020.0), scraped(1061.0, 1100.0)),)), "blind"),
        (story(NEVER, up=(scraped(1000.0, 1010.0),)), "unknown"),  # it was not scraped before either
        (story(NEVER, gaps=(gap(1030.0, 1031.0),)), "unknown"),
        (story(NEVER, gaps=(gap(1080.0, 1081.0),)), "quiet"),
        (story(NEVER, read=False), "unknown"),
        (story(NEVER, inputs={}), "unknown"),
        (story(NEVER, rules_at_end=()), "unknown"),
        (story(rules_at_end=(replace(RULE, expr="vector(1)"),)), "unknown"),
        (story(active("pending", PENDING, PENDING + 2), gaps=(gap(1030.0, 1031.0),)), "unknown"),
        (story(gaps=(gap(1030.0, 1031.0),)), "fired"),  # what was seen was seen
        (replace(story(NEVER), samples=(), loads=()), "unknown"),
        (replace(story(), samples=(), loads=()), "fired"),
        (replace(story(NEVER), faults=(replace(FAULT, healed_at=INJECTED + STEP),)), "unknown"),
    ],
)
def test_what_was_seen(record: Record, sight: str) -> None:
    """Fired is what was seen to; quiet needs all the evidence that would have shown the opposite."""
    assert cell(record).sight == sight, cell(record)
    assert bool(cell(record).why) == (sight in ("unknown", "blind"))


@pytest.mark.parametrize(("began", "responded"), [(PENDING + 1, False), (PENDING - 0.5, True)])
def test_what_began_with_the_response_may_be_its_work(began: float, responded: bool) -> None:
    """An alert that became pending after the first step of the runbook is marked; one that was on its way is not."""
    step = StepRecord(window="step", name="step", source="r.md:1", purpose="mitigate", deadline=None)
    record = replace(
        SOUND, steps=(step,), windows=(*SPANS, Span(name="step", kind="step", began=began, ended=began + 1))
    )
    assert cell(record).responded == responded
    assert cell(replace(record, steps=(replace(step, purpose="restore"),))).responded is False
    assert cell(replace(record, steps=(replace(step, skipped=True),))).responded is False


def test_where_nothing_was_broken() -> None:
    """Without a fault, what was observed is the stretch: an alert that fires in it is a false alarm."""
    calm = [span for span in SPANS if span.kind != "fault"]
    record = replace(SOUND, faults=(), windows=tuple(calm))
    (row,) = matrix_of([record]).rows
    assert (row.cause, row.cells[NAME].sight, row.spoilt) == ("", "fired", "")
    assert cell(replace(story(NEVER), faults=(), windows=tuple(calm))).sight == "quiet"


@pytest.mark.parametrize(
    ("change", "spoilt"),
    [
        ({}, ""),
        ({"control": Control.NO_MITIGATION}, "a control: no-mitigation"),
        ({"faults": (replace(FAULT, during=receipts(1030.0, in_force=False)),)}, "the run is INVALID"),
        ({"error": "it broke"}, "the run is ERROR"),
        ({"faults": (replace(FAULT, injected_at=None),)}, "the run is INVALID"),
    ],
)
def test_a_spoilt_run_is_there_and_not_counted(change: dict[str, Any], spoilt: str) -> None:
    """A run whose fault was not in force, one that broke, and a control say nothing about the cause."""
    (row,) = matrix_of([replace(SOUND, **change)]).rows
    assert row.spoilt == spoilt
    assert matrix_of([replace(SOUND, **change)]).causes_of(NAME) == (() if spoilt else ("upstream down",))


def test_the_runbooks_alerts_come_first() -> None:
    """Rules are told apart by their label `source`; one that another run did not load is not known there."""
    ours = replace(RULE, name="Ours", labels={"source": "sandbox"})
    both = replace(SOUND, alerts=replace(EVIDENCE, rules=(ours, RULE), rules_at_end=(ours, RULE)))
    matrix = matrix_of([both, SOUND])
    assert [(column.alert, column.source) for column in matrix.columns] == [(NAME, ""), ("Ours", "sandbox")]
    assert "Ours" not in matrix.rows[1].cells
    assert len(matrix.undecided(matrix.alerts())) == 2  # what feeds it was not recorded


def saved(record: Record, folder: Path) -> Path:
    folder.mkdir(parents=True)
    store.save_record(replace(record, loads=(), samples=()), folder)
    return folder


def test_the_latest_run_of_each_scenario_counts(tmp_path: Path) -> None:
    """Of each scenario the newest run that has a record and is no control; `latest` is not another one."""
    for stamp, scale, control in (("1", 30.0, "none"), ("2", 60.0, "none"), ("3", 90.0, "no-fault")):
        saved(replace(SOUND, run_id=stamp, time_scale=scale, control=Control(control)), tmp_path / "outage" / stamp)
    (tmp_path / "outage" / "4").mkdir()
    (tmp_path / "outage" / "latest").symlink_to("1", target_is_directory=True)
    saved(replace(SOUND, run_id="7"), tmp_path / "other" / "7")
    (tmp_path / "up").mkdir()
    assert [record.run_id for record in latest(tmp_path)] == ["7", "2"]


def test_it_is_written_in_every_form(tmp_path: Path) -> None:
    """Named runs are taken as they are; JSON is the matrix itself."""
    folder = saved(replace(SOUND, control=Control.NO_FAULT), tmp_path / "outage" / "1")
    assert write([folder], tmp_path, "md").startswith("# Root causes and alerts")
    assert "<html" in write([folder], tmp_path, "html")
    plain = json.loads(write([folder], tmp_path, "json"))
    assert plain["rows"][0]["spoilt"] == "a control: no-fault"
    assert set(plain) == {"columns", "rows"} == set(Matrix.__dataclass_fields__)


def test_no_run_is_a_usage_error(tmp_path: Path) -> None:
    """Where nothing was recorded there is nothing to hold against each other."""
    for folders, form in (([], "md"), ([tmp_path], "md"), ([], "pdf")):
        with pytest.raises(UsageError):
            write(folders, tmp_path, form)


def test_an_unknown_run_still_shows_what_was_seen() -> None:
    """The run's outcome is shown, and no more than what spoils the fault takes its row out."""
    (row,) = matrix_of([SOUND]).rows
    assert row.outcome is Outcome.UNKNOWN  # it claims nothing
    assert row.spoilt == ""
