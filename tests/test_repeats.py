"""What repeated runs say: times with their spread, what never came, and claims that are not the same in every run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness import Control, Outcome, UsageError, store
from harness.catalogue import Entry
from harness.judge import judge
from harness.model.record import AlertSample, Record, StepRecord
from harness.model.repeats import Series, Spread, say_median
from harness.model.timeline import Event
from harness.repeats import bound, measured, of_records, recorded, repeated, write
from harness.run import PHASE
from harness.settings import Settings
from tests.counterfactual.whole import KEPT, USERS, WHOLE, under


def later(by: float) -> Record:
    """The run with an alert that fired, and was delivered, so much later (wall seconds)."""
    moved = tuple(
        replace(one, at=one.at + by) if one.state == "firing" else one for one in KEPT.alerts.states if one.at <= 1060
    )
    pending = tuple(replace(moved[-1], at=1023.0 + n / 4, state="pending") for n in range(int(by * 4)))
    notes = tuple(replace(one, at=one.at + by, starts_at=one.starts_at + by) for one in KEPT.alerts.notifications[:1])
    states: Sequence[AlertSample] = sorted((*moved, *pending), key=lambda one: one.at)
    return replace(KEPT, alerts=replace(KEPT.alerts, states=tuple(states), notifications=notes))


SILENT = replace(KEPT, alerts=replace(KEPT.alerts, states=(), notifications=()))
UNTOLD = replace(KEPT, alerts=replace(KEPT.alerts, notifications=()))
UNMENDED = replace(KEPT, samples=under(Control.NO_MITIGATION).samples)


def series(*records: Record) -> Series:
    (found,) = of_records(records).series
    return found


def spread(found: Series, name: str) -> Spread:
    return next(one for one in found.times if one.name == name)


@pytest.mark.parametrize(
    ("record", "name", "value", "reached"),
    [
        (KEPT, "detection", 192.0, True),  # 3.2 s at scale 60
        (KEPT, "detection/firing", 180.0, True),
        (SILENT, "detection", 1200.0, False),  # until people began to mend it
        (SILENT, "detection/pending", 1200.0, False),
        (UNTOLD, "detection/firing", 180.0, True),
        (UNTOLD, "detection", 1200.0, False),  # it fired, and nobody was told
        (SILENT, "detection/user impact", 30.0, True),
        (KEPT, "mitigation", 0.5, True),  # actions are not scaled
        (KEPT, "recovery", 0.0, True),
        (UNMENDED, "recovery", 1140.0, False),  # from the step's end to the fault's
    ],
)
def test_what_did_not_come_took_longer_than_it_was_watched_for(
    record: Record, name: str, value: float, reached: bool
) -> None:
    """A time that was not reached is longer than from its beginning until nothing could show it any more."""
    lasted = dict(measured(record, judge(record)))[name].lasted
    assert lasted is not None
    assert lasted.value == pytest.approx(value, abs=16)
    assert lasted.reached is reached


def effect(step: StepRecord, held: bool | None) -> StepRecord:
    return replace(step, effects=tuple(replace(one, held=held) for one in step.effects))


@pytest.mark.parametrize(("held", "reached"), [(True, True), (False, False), (None, None)])
def test_a_step_without_effect_took_longer_than_was_waited(held: bool | None, reached: bool | None) -> None:
    """What the record has as its end is when we gave up; one whose effect nobody could see took nobody knows how long.
    A correction stands for the text that it corrects."""
    wrong, right = WHOLE.steps[0].effects[0], replace(WHOLE.steps[0].effects[0], variant="corrected", held=held)
    mend = replace(WHOLE.steps[0], effects=(replace(wrong, held=False), right))
    lasted = dict(measured(record := replace(KEPT, steps=(mend, WHOLE.steps[1])), judge(record)))["mitigation"].lasted
    assert (None if lasted is None else lasted.reached) is reached


def test_a_stage_that_nobody_saw_is_unknown() -> None:
    """Where what comes after it was seen, it came: nobody can say when, and it is not taken for one that did not."""
    unseen = replace(KEPT, alerts=replace(KEPT.alerts, inputs={**KEPT.alerts.inputs, "HTTP503ErrorSpike": ()}))
    found = series(KEPT, unseen)
    scrape = spread(found, "detection/first scrape")
    assert (len(scrape.reached), scrape.censored, scrape.unknown) == (1, (), 1)


def test_the_median_and_its_interval() -> None:
    """Six runs have one, five have a median alone; a run without an alert moves the median up and not out."""
    runs = [KEPT, later(1), later(2), later(3), later(4)]
    five = spread(series(*runs), "detection")
    assert five.median == pytest.approx(192 + 120)
    assert (five.lower, five.upper) == (None, None)
    six = spread(series(*runs, SILENT), "detection")
    assert six.median == pytest.approx(192 + 150)
    assert six.censored == pytest.approx([1200])
    assert six.lower is not None
    assert six.upper is None
    assert "no upper bound" in say_median(six)
    mostly = spread(series(KEPT, SILENT, SILENT), "detection")
    assert mostly.median is None
    assert say_median(mostly) == "in more than half of the runs longer than 20 min"
    assert say_median(spread(series(SILENT), "detection")) == "more than 20 min"
    assert say_median(Spread(name="x", said="", reached=(), unknown=2)) == "unknown"


def test_a_claim_that_is_not_always_the_same_is_flaky() -> None:
    """It is named with how often it came to what; one that always fails is not flaky."""
    found = series(KEPT, SILENT, SILENT)
    assert found.outcomes == {Outcome.PASS: 1, Outcome.FAIL: 2}
    assert [one.outcomes for one in found.flaky if "fires" in one.claim] == [{Outcome.PASS: 1, Outcome.FAIL: 2}]
    assert not [one for one in found.flaky if "kept to its plan" in one.claim]
    assert series(SILENT, SILENT).flaky == ()


def test_a_run_that_is_no_experiment_has_no_times() -> None:
    """INVALID and ERROR are counted as outcomes and not as times."""
    broken = replace(later(5), error="it broke")
    found = series(KEPT, broken)
    assert (found.uncounted, found.outcomes) == (1, {Outcome.PASS: 1, Outcome.ERROR: 1})
    assert spread(found, "detection").reached == pytest.approx([192])
    assert (found.failed.hits, found.failed.count, found.red.hits, found.red.count) == (0, 1, 1, 2)


def test_the_bounds_of_a_share_hold_together() -> None:
    """Of 100 healthy runs without a false alarm: at most 3.6 % of all such runs have one (Clopper and Pearson)."""
    assert bound(0, 100).upper == pytest.approx(0.0362, abs=5e-5)
    assert (bound(5, 100).lower, bound(5, 100).upper) == pytest.approx((0.01643, 0.11283), abs=5e-5)  # R: binom.test


def test_runs_that_differ_in_what_was_asked_are_series_of_their_own() -> None:
    """Another control, time scale, seed or version of the scenario is another population."""
    others = [
        replace(KEPT, seed=2),
        replace(KEPT, time_scale=30.0),
        under(Control.NO_FAULT),
        replace(KEPT, scenario=replace(KEPT.scenario, fingerprint="before")),
    ]
    assert sorted(len(one.runs) for one in of_records([KEPT, *others, KEPT]).series) == [1, 1, 1, 1, 2]


# -- folders -------------------------------------------------------------------------------------------------------

ENTRY = Entry(name="whole", hypothesis="h", source="s", function="test_whole", fingerprint="now")


def save(record: Record, runs: Path, number: int) -> None:
    folder = runs / "whole" / f"{number:03}"
    folder.mkdir(parents=True)
    store.save_record(record, folder)


def test_only_the_repetitions_that_are_not_there_are_missing(tmp_path: Path) -> None:
    """Of the scenario as it is, under the same control, scale and seed; whatever it came to, but not one broken off."""
    kept = [
        replace(KEPT, repetition=1),
        replace(SILENT, repetition=2),  # a FAIL counts: to leave it out would be to choose
        replace(KEPT, repetition=3, error="interrupted"),
        replace(KEPT, repetition=4, error="it broke"),
        replace(KEPT, repetition=5, seed=2),
        replace(KEPT, repetition=6, control=Control.NO_FAULT),
        replace(KEPT, repetition=7, time_scale=30.0),
        replace(KEPT, repetition=8, scenario=replace(KEPT.scenario, fingerprint="before")),
        replace(KEPT, repetition=11),
        KEPT,
    ]
    for number, record in enumerate(kept):
        save(record, tmp_path, number)
    found = recorded([ENTRY], Settings(runs=tmp_path), 10)
    assert sorted(found["whole"]) == [1, 2, 4]
    assert recorded([replace(ENTRY, name="other")], Settings(runs=tmp_path), 10) == {}


def test_what_was_repeated_is_found_by_itself(tmp_path: Path) -> None:
    """Without folders, all runs that are one of a series; a run by itself is none."""
    with pytest.raises(UsageError, match="no repeated runs"):
        repeated(tmp_path)
    save(KEPT, tmp_path, 1)
    save(replace(KEPT, repetition=1), tmp_path, 2)
    assert [folder.name for folder in repeated(tmp_path)] == ["002"]


def test_it_can_be_read_by_people_and_programs(tmp_path: Path) -> None:
    """Markdown, HTML and JSON say the same; any other form is refused."""
    phase = Event(at=1019.0, kind=PHASE, subject="", details={"share": 0.25, "cycle": 0.25})
    for number in (1, 2):
        save(replace(KEPT, repetition=number, events=(*KEPT.events, phase), samples=USERS), tmp_path, number)
    folders = repeated(tmp_path)
    assert "whole: 2 runs" in write(folders, "md")
    assert "0.25 to 0.25 of a cycle" in write(folders, "html")
    assert json.loads(write(folders, "json"))["series"][0]["phases"] == [0.25, 0.25]
    with pytest.raises(UsageError, match="--format pdf"):
        write(folders, "pdf")
