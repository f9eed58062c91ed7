"""The claim that a runbook step worked, judged from its record alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from harness.mitigations.checks import StepWorked
from harness.model.record import CommandRecord, EffectRecord, Record, Scenario, StepRecord
from harness.model.verdict import Control, Outcome, Verdict

RAN = CommandRecord(variant="as-written", text="fix it", began=100, ended=101, exit_status=0, output="")
CORRECTED = replace(RAN, variant="corrected", began=103, ended=104)
WORKED = EffectRecord(claim="forced == 1", variant="as-written", before="0", after="1", held=True, at=105)
MISSED = replace(WORKED, after="0", held=False)
STEP = StepRecord(
    window="w", name="fix", source="book.md:1", purpose="mitigate", deadline=30, commands=(RAN,), effects=(WORKED,)
)
CHECK = StepWorked(window="w")


def judged(step: StepRecord | None) -> Verdict:
    record = Record(
        run_id="r", scenario=Scenario(name="s", hypothesis="h"), control=Control.NONE, time_scale=60, seed=1,
        runtime="fake", began=0, ended=200, steps=(step,) if step else (),
    )  # fmt: skip
    assert CHECK.red_under(record) == frozenset()
    return CHECK.judge(record)


KNOWN = replace(
    STEP, commands=(RAN, CORRECTED), effects=(MISSED, replace(WORKED, variant="corrected")), finding="401", accepted="x"
)


@pytest.mark.parametrize(
    ("step", "outcome", "said"),
    [
        pytest.param(STEP, "PASS", "effect after 5 s", id="it worked as written"),
        pytest.param(KNOWN, "PASS", "effect after 5 s; known finding: x", id="known finding, corrected"),
        pytest.param(replace(STEP, deadline=None), "PASS", "effect after 5 s", id="no deadline"),
        pytest.param(replace(STEP, deadline=5), "PASS", "effect after 5 s", id="at the deadline"),
        pytest.param(replace(STEP, deadline=4.9), "FAIL", "too late", id="after the deadline"),
        pytest.param(
            replace(STEP, commands=(replace(RAN, saved=295),)), "FAIL", "5 min", id="the runbook's sleep counts"
        ),
        pytest.param(
            replace(STEP, effects=(MISSED,)), "FAIL", "no effect: forced == 1; 0 before, 0 after", id="no effect"
        ),
        pytest.param(
            replace(KNOWN, effects=(MISSED, replace(MISSED, variant="corrected"))),
            "FAIL",
            "no effect",
            id="not even corrected",
        ),
        pytest.param(
            replace(STEP, not_here="x"), "FAIL", "it runs here, and is said not to: x", id="it runs after all"
        ),
        pytest.param(
            replace(STEP, not_here="x", commands=(RAN, replace(RAN, refused="no")), effects=()),
            "FAIL",
            "it runs here",
            id="one of two runs after all",
        ),
        pytest.param(replace(STEP, effects=(MISSED, WORKED)), "FAIL", "no effect", id="two worded alike"),
        pytest.param(
            replace(STEP, effects=(WORKED, replace(MISSED, claim="other"))), "FAIL", "no effect: other", id="one of two"
        ),
        pytest.param(replace(KNOWN, accepted=""), "FAIL", "new finding: 401", id="new finding"),
        pytest.param(replace(STEP, accepted="x"), "FAIL", "remove it from the steps file", id="finding out of date"),
        pytest.param(
            replace(STEP, effects=(replace(WORKED, after=None, held=None),)),
            "UNKNOWN",
            "could not be read",
            id="unreadable after",
        ),
        pytest.param(
            replace(STEP, effects=(replace(WORKED, before=None, held=None),)),
            "UNKNOWN",
            "not readable before",
            id="unreadable before",
        ),
        pytest.param(
            replace(STEP, effects=(replace(WORKED, before="1", held=None),)),
            "UNKNOWN",
            "proves nothing",
            id="it was so before",
        ),
        pytest.param(
            replace(STEP, effects=(replace(WORKED, after="absent", held=None),)),
            "UNKNOWN",
            "no such series",
            id="no series",
        ),
        pytest.param(replace(STEP, effects=()), "UNKNOWN", "nothing was observed", id="no effect recorded"),
        pytest.param(replace(STEP, commands=()), "UNKNOWN", "nothing was run", id="no command recorded"),
        pytest.param(
            replace(STEP, commands=(replace(RAN, refused="docker"),)),
            "UNKNOWN",
            "could not be run here: docker",
            id="refused",
        ),
        pytest.param(replace(STEP, problem="no supervisor"), "UNKNOWN", "no supervisor", id="our own trouble"),
        pytest.param(replace(STEP, skipped=True), "UNKNOWN", "left out", id="left out"),
        pytest.param(replace(STEP, window="other"), "UNKNOWN", "no such step", id="another step's record"),
        pytest.param(None, "UNKNOWN", "no such step", id="no record"),
    ],
)
def test_a_step_is_judged_by_its_effect(step: StepRecord | None, outcome: str, said: str) -> None:
    """Only an effect that was seen to come about, in time, with nothing new found wrong, is a pass."""
    verdict = judged(step)
    assert (verdict.outcome, said in verdict.observed) == (Outcome(outcome), True), verdict


def test_the_verdict_leads_to_the_evidence() -> None:
    """The verdict names the line of the runbook, what was read before and after, and the deadline."""
    verdict = judged(STEP)
    assert verdict.evidence == ("book.md:1", "forced == 1: 0 before, 1 after it ran as written")
    assert verdict.limit == "within 30 s"
    assert judged(KNOWN).evidence[-1] == "401"


def test_the_check_can_be_saved() -> None:
    """A check survives the way into a record and back."""
    adapter = TypeAdapter(StepWorked)
    assert adapter.validate_python(adapter.dump_python(CHECK, mode="json")) == CHECK


@pytest.mark.parametrize(
    ("mitigation", "outcome", "said"),
    [
        (replace(STEP, window="m", effects=(MISSED,)), "FAIL", "nothing to take back: fix never had its effect"),
        (replace(STEP, window="m"), "UNKNOWN", "held already"),
        (replace(STEP, window="m", effects=(MISSED,), purpose="restore"), "UNKNOWN", "held already"),
    ],
    ids=["it was useless", "it worked", "it was no mitigation"],
)
def test_taking_back_what_never_was_is_no_open_question(mitigation: StepRecord, outcome: str, said: str) -> None:
    """A restore step that finds its effect there already is FAIL after a mitigation without effect, else UNKNOWN."""
    already = replace(WORKED, claim="forced == 0", before="0", after="0", held=None)
    back = replace(STEP, name="undo", purpose="restore", effects=(already,))
    record = Record(
        run_id="r", scenario=Scenario(name="s", hypothesis="h"), control=Control.NONE, time_scale=60, seed=1,
        runtime="fake", began=0, ended=200, steps=(mitigation, back),
    )  # fmt: skip
    verdict = CHECK.judge(record)
    assert verdict.outcome == outcome
    assert said in verdict.observed
