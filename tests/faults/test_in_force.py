"""The claims that a fault was in force, and is gone: every way in which an experiment can be unsound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from harness.faults.gone import FaultGone
from harness.faults.in_force import FaultInForce
from harness.model.record import FaultRecord, Receipt, Record, Scenario, StepRecord
from harness.model.timeline import Span
from harness.model.verdict import Control, Outcome

BEGAN, ENDED = 1000.0, 1020.0


def receipt(at: float, in_force: bool | None, **details: int | str) -> Receipt:
    measured = {True: "refused", False: "answered", None: "the proxy can't be asked"}[in_force]
    return Receipt(at=at, in_force=in_force, intended="database down", measured=measured, details=details)


SOUND = FaultRecord(
    window="outage",
    description="database down",
    settings={},
    injected_at=BEGAN,
    healed_at=ENDED,
    before=(receipt(BEGAN - 1, False, traffic=5000),),
    during=tuple(receipt(BEGAN + second, True) for second in range(21)),
    after=(receipt(ENDED, False), receipt(ENDED + 20, False, traffic=5000)),
)


def record_of(*faults: FaultRecord) -> Record:
    return Record(
        run_id="1",
        scenario=Scenario(name="s", hypothesis="h"),
        control=Control.NONE,
        time_scale=60,
        seed=1,
        runtime="fake",
        began=BEGAN - 10,
        ended=ENDED + 30,
        faults=faults,
    )


def test_a_fault_seen_all_along_was_in_force() -> None:
    """Healthy before, seen once a second, on a path with traffic before and after: PASS."""
    verdict = FaultInForce(window="outage").judge(record_of(SOUND))
    assert verdict.outcome is Outcome.PASS
    assert "21 receipts" in verdict.observed


def seen(*states: bool | None) -> Sequence[Receipt]:
    return tuple(receipt(BEGAN + second, state) for second, state in enumerate(states))


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (replace(SOUND, injected_at=None, problem="refused by the proxy"), "refused by the proxy"),
        (replace(SOUND, before=()), "no probe"),
        (replace(SOUND, before=(receipt(BEGAN - 1, True),)), "not whole before"),
        (replace(SOUND, before=(receipt(BEGAN - 1, None),)), "not whole before"),
        (replace(SOUND, during=()), "nobody saw it"),
        (
            replace(SOUND, during=(*SOUND.during[:5], receipt(BEGAN + 5, False), *SOUND.during[6:])),
            "was not in force 5 s",
        ),
        (replace(SOUND, during=(*SOUND.during[:5], receipt(BEGAN + 5, None), *SOUND.during[6:])), "could not be seen"),
        (replace(SOUND, during=(SOUND.during[0], SOUND.during[-1])), "nobody looked at it for 20 s"),
        (replace(SOUND, during=SOUND.during[:3]), "nobody looked at it for 18 s"),
        (replace(SOUND, before=(receipt(BEGAN - 1, False, traffic=0),)), "no traffic passed there before"),
        (replace(SOUND, after=(receipt(ENDED, False, traffic=0),)), "no traffic passed there after"),
        (replace(SOUND, before=(receipt(BEGAN - 1, False, traffic=-5),)), "no traffic passed there before"),
        (replace(SOUND, before=(receipt(BEGAN - 1, False, traffic="nobody could count"),)), "nobody could count"),
    ],
    ids=[
        "never injected",
        "not probed before",
        "broken before",
        "unknown before",
        "never seen",
        "taken out behind our back",
        "proxy gone meanwhile",
        "a long silence",
        "a silence until the end",
        "unused before",
        "by-passed since",
        "counted backwards",
        "not countable",
    ],
)
def test_an_unsound_fault_is_invalid(record: FaultRecord, said: str) -> None:
    """Whatever keeps us from knowing that the fault was in force makes the run INVALID, and is said."""
    verdict = FaultInForce(window="outage").judge(record_of(record))
    assert verdict.outcome is Outcome.INVALID
    assert said in verdict.observed


def test_a_slow_probe_is_no_silence() -> None:
    """A link that is slow by 30 s makes its own probe slow: the gap between receipts is allowed to be as long."""
    slow = tuple(receipt(BEGAN + at, True, took=18) for at in (0, 19))
    assert FaultInForce(window="outage").judge(record_of(replace(SOUND, during=slow))).outcome is Outcome.PASS


def test_a_fault_that_was_not_recorded_is_invalid() -> None:
    """A claim about a window without a fault proves nothing."""
    assert FaultInForce(window="outage").judge(record_of()).outcome is Outcome.INVALID


def test_a_healed_fault_is_gone() -> None:
    """The probe that saw it in force sees it gone: PASS."""
    assert FaultGone(window="outage").judge(record_of(SOUND)).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("record", "outcome"),
    [
        (replace(SOUND, healed_at=None, problem="the proxy hangs"), Outcome.ERROR),
        (replace(SOUND, after=()), Outcome.ERROR),
        (replace(SOUND, after=(receipt(ENDED, True),)), Outcome.ERROR),
        (replace(SOUND, after=(receipt(ENDED, None),)), Outcome.INVALID),
    ],
    ids=["not healed", "nobody looked", "still there", "can't be told"],
)
def test_a_fault_that_may_still_be_there_never_passes(record: FaultRecord, outcome: Outcome) -> None:
    """A sandbox that may be dirty is ERROR; one that nobody could look at is INVALID."""
    assert FaultGone(window="outage").judge(record_of(record)).outcome is outcome


def performed(at: float, *, skipped: bool = False) -> tuple[StepRecord, Span]:
    step = StepRecord(
        window="restart", name="restart", source="r:1", purpose="mitigate", deadline=None, skipped=skipped
    )
    return step, Span(name="restart", kind="step", began=at, ended=at + 1)


GONE_FROM_10 = tuple(receipt(BEGAN + second, second < 10) for second in range(21))


@pytest.mark.parametrize(
    ("curable", "step", "outcome", "why"),
    [
        (True, performed(BEGAN + 9.5), Outcome.PASS, "a step ended it"),
        (True, performed(BEGAN + 3), Outcome.PASS, "a step ended it after a while"),
        (True, performed(BEGAN + 12), Outcome.INVALID, "it was gone before any step"),
        (True, performed(BEGAN - 5), Outcome.INVALID, "the step came before the fault"),
        (True, performed(BEGAN + 9.5, skipped=True), Outcome.INVALID, "the step was left out"),
        (False, performed(BEGAN + 9.5), Outcome.INVALID, "no step can end it"),
    ],
)
def test_a_step_may_end_a_curable_fault(
    curable: bool, step: tuple[StepRecord, Span], outcome: Outcome, why: str
) -> None:
    """A curable fault has to be in force until a step is performed, any other until it is healed."""
    fault = replace(SOUND, during=GONE_FROM_10, curable=curable)
    record = replace(record_of(fault), steps=(step[0],), windows=(step[1],))
    verdict = FaultInForce(window="outage").judge(record)
    assert verdict.outcome is outcome, why


def test_a_curable_fault_must_be_seen_before_the_cure() -> None:
    """Where the first look came after the first step, nobody saw it in force; one that was under way does not count."""
    step, span = performed(BEGAN + 0.5)
    slow = replace(SOUND.during[0], details={"took": 1.0})
    for during in (SOUND.during[1:], (slow, *SOUND.during[1:])):
        record = replace(record_of(replace(SOUND, during=during, curable=True)), steps=(step,), windows=(span,))
        assert "nobody saw it" in FaultInForce(window="outage").judge(record).observed


def test_a_probe_that_a_step_overtook_says_nothing() -> None:
    """A look that began before the first step and ended after it may have met either state."""
    step, span = performed(BEGAN + 9.5)
    late = replace(receipt(BEGAN + 9, False), details={"took": 0.8})
    fault = replace(SOUND, during=(*GONE_FROM_10[:9], late, *GONE_FROM_10[10:]), curable=True)
    record = replace(record_of(fault), steps=(step,), windows=(span,))
    assert FaultInForce(window="outage").judge(record).outcome is Outcome.PASS
