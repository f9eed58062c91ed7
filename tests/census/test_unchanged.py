"""The claim that nothing was left behind: what differs, what may, and what nobody could count."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from harness.census.unchanged import Unchanged
from harness.model.record import EffectRecord, Record, Scenario, StepRecord
from harness.model.verdict import Control, Outcome

PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN
BEFORE = {"state of app": "ready", "limit of app": "20", "open files of app": "100"}


def record(before: Mapping[str, str] | None, after: Mapping[str, str] | None, *steps: StepRecord) -> Record:
    return Record(
        run_id="1",
        scenario=Scenario(name="s", hypothesis="h"),
        control=Control.NONE,
        time_scale=60,
        seed=1,
        runtime="fake",
        began=0,
        ended=1,
        steps=steps,
        census_before=before,
        census_after=after,
    )


def step(claim: str, *, no_undo: str = "", skipped: bool = False) -> StepRecord:
    effect = EffectRecord(claim=claim, variant="as-written", before="20", after="5", held=True, at=0.5)
    return StepRecord(
        window="shrink",
        name="shrink",
        source="r:1",
        purpose="mitigate",
        deadline=None,
        effects=(effect,),
        no_undo=no_undo,
        skipped=skipped,
    )


@pytest.mark.parametrize(
    ("before", "after", "outcome", "why"),
    [
        (BEFORE, BEFORE, PASS, "nothing changed"),
        (BEFORE, {**BEFORE, "limit of app": "5"}, FAIL, "a setting stayed"),
        (BEFORE, {**BEFORE, "state of app": "exited"}, FAIL, "a service is gone"),
        (BEFORE, {**BEFORE, "state of more": "ready"}, FAIL, "something is there that was not"),
        (BEFORE, {"state of app": "ready", "open files of app": "100"}, FAIL, "something is there no more"),
        (BEFORE, {**BEFORE, "open files of app": "1100"}, PASS, "some more files"),
        (BEFORE, {**BEFORE, "open files of app": "1101"}, FAIL, "many more files"),
        (BEFORE, {**BEFORE, "open files of app": "1"}, PASS, "fewer files"),
        (BEFORE, {**BEFORE, "limit of app": "could not be read: refused"}, UNKNOWN, "nobody can tell"),
        ({**BEFORE, "limit of app": "could not be read: refused"}, BEFORE, UNKNOWN, "nobody could tell"),
        (BEFORE, None, UNKNOWN, "not counted after"),
        (None, None, UNKNOWN, "not counted at all"),
        ({}, {}, UNKNOWN, "nothing was counted"),
    ],
)
def test_unchanged(
    before: Mapping[str, str] | None, after: Mapping[str, str] | None, outcome: Outcome, why: str
) -> None:
    """Only a whole census that is the same passes; a few open files more are nothing left behind."""
    assert Unchanged().judge(record(before, after)).outcome is outcome, why


@pytest.mark.parametrize(
    ("performed", "outcome"),
    [
        (step("limit of app == 5", no_undo="no line takes it back"), PASS),
        (step("limit of app increased", no_undo="no line takes it back"), PASS),
        (step("limit of app == 5", no_undo="no line takes it back", skipped=True), FAIL),
        (step("limit of app == 5"), FAIL),
        (step("limit of app2 == 5", no_undo="no line takes it back"), FAIL),
    ],
)
def test_what_the_runbook_can_not_take_back_is_known_to_stay(performed: StepRecord, outcome: Outcome) -> None:
    """A change by a performed step that has no way back does not fail the claim, and is said with its reason."""
    verdict = Unchanged().judge(record(BEFORE, {**BEFORE, "limit of app": "5"}, performed))
    assert verdict.outcome is outcome
    assert ("known to stay" in verdict.observed) is (outcome is PASS)


def test_every_difference_is_named() -> None:
    """The verdict says what was before and what is now, for each thing."""
    verdict = Unchanged().judge(record(BEFORE, {"state of app": "paused", "limit of app": "5"}))
    assert verdict.observed == (
        "state of app: ready before, paused after; limit of app: 20 before, 5 after; "
        "open files of app: 100 before, not there after"
    )
