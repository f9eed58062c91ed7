"""The judge: which claims are made of every run, and how controls and broken checks are dealt with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest

from harness import Alert, Control, Outcome, Slo, judge, minutes, percent, seconds
from harness.judge import _verdict, encode_check
from harness.model.record import CommandRecord, FaultRecord, LoadRecord, Record, Scenario, StepRecord
from harness.model.timeline import Event, Span, SpanKind, Window
from harness.model.verdict import Verdict, worst

WINDOW = Window("calm")
RECORD = Record(
    run_id="1",
    scenario=Scenario(name="outage", hypothesis="it holds"),
    control=Control.NONE,
    time_scale=60,
    seed=1,
    runtime="fake",
    began=1000.0,
    ended=1060.0,
)
ALERT = Alert("TooManyErrors", severity="critical")
CHECKS = (
    ALERT.fires(within=minutes(8), of=WINDOW.start),
    ALERT.delivered(),
    ALERT.resolves(within=minutes(6), of=WINDOW.end),
    ALERT.stays_quiet(during=WINDOW),
    Slo.recovery(error_503=percent(1), mean=seconds(2)).during(WINDOW),
    Slo.recovery(error_503=percent(1), mean=seconds(2)).within(minutes(5), of=WINDOW.start, by=WINDOW.end),
)


def claims(record: Record) -> dict[str, Outcome]:
    return {verdict.claim: verdict.outcome for verdict in judge.judge(record).verdicts}


@dataclass(frozen=True, slots=True)
class Green:
    """A check that always passes, and should turn red without the fault."""

    kind: Literal["green"] = "green"
    claim: str = "all is well"

    def judge(self, record: Record) -> Verdict:
        return Verdict(claim=self.claim, outcome=Outcome.PASS, observed="well")

    def red_under(self, record: Record) -> frozenset[Control]:
        return frozenset({Control.NO_FAULT})


class Broken(Green):
    """A check that breaks."""

    def judge(self, record: Record) -> Verdict:
        raise ZeroDivisionError


def test_a_run_without_a_claim_proves_nothing() -> None:
    """A scenario that never called verify is UNKNOWN, not a pass."""
    assert judge.judge(RECORD).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.kind)
def test_no_claim_passes_on_an_empty_record(check: Any) -> None:
    """Without any evidence no claim that a scenario can make is a PASS."""
    outcome = judge.judge(replace(RECORD, checks=(encode_check(check),))).outcome
    assert outcome in {Outcome.UNKNOWN, Outcome.INVALID, Outcome.FAIL}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.kind)
def test_every_check_survives_being_saved(check: Any) -> None:
    """A check read back from a record is the one that was saved."""
    assert judge._CHECK.validate_python(encode_check(check)) == check


def test_every_run_is_asked_whether_it_was_sound() -> None:
    """Faults, loads and steps are judged whether or not the scenario says so; what a control left out is not."""
    fault = FaultRecord(window="outage", description="x", settings={})
    step = StepRecord(window="failover", name="failover", source="", purpose="mitigate", deadline=None)
    load = LoadRecord(
        window="load", plan="", target="", began=0, ended=None, planned=0, sent=0, finished=0, in_flight=0,
        dropped=0, complete=False, lateness_p99=None, lateness_max=None, generator_cpu=None,
    )  # fmt: skip
    whole = replace(RECORD, faults=(fault,), steps=(step,), loads=(load,))
    assert len(claims(whole)) == 5
    assert Outcome.PASS not in claims(whole).values()
    skipped = replace(whole, faults=(replace(fault, skipped=True),), steps=(replace(step, skipped=True),), loads=())
    assert "step" not in " ".join(claims(replace(skipped, control=Control.NO_MITIGATION)))
    assert "fault" not in " ".join(claims(replace(skipped, control=Control.NO_FAULT)))
    assert "step" not in " ".join(claims(replace(skipped, control=Control.ABLATION)))
    assert len(claims(skipped)) == 4, "what was left out without a control is judged all the same"


@pytest.mark.parametrize(("refused", "claimed"), [("no such tool", False), ("", True)])
def test_a_step_that_this_system_has_no_place_for_claims_nothing(refused: str, claimed: bool) -> None:
    """It is tried all the same: refused, nothing is claimed of it; one that runs is judged."""
    tried = CommandRecord(
        variant="as-written", text="tidy", began=0, ended=1, exit_status=None, output="", refused=refused
    )
    step = StepRecord(
        window="tidy", name="tidy", source="", purpose="mitigate", deadline=None, commands=(tried,), not_here="a host"
    )
    assert ("tidy" in " ".join(claims(replace(RECORD, steps=(step,))))) is claimed


def test_an_ablation_that_changed_nothing_is_invalid() -> None:
    """It must have left a step out, or performed some in another order."""
    ablation = replace(RECORD, control=Control.ABLATION)
    assert claims(ablation)["the control changed the story"] is Outcome.INVALID
    reordered = Event(at=1010.0, kind=judge.REORDERED, subject="b, a", details={})
    assert "the control changed the story" not in claims(replace(ablation, events=(reordered,)))


def test_our_own_failure_is_an_error() -> None:
    """A run that broke off is ERROR and says why."""
    judgement = judge.judge(replace(RECORD, error="SandboxError: gone"))
    assert judgement.outcome is Outcome.ERROR
    assert "gone" in judgement.verdicts[-1].observed


def test_a_claim_that_stays_green_under_its_control_is_vacuous() -> None:
    """An assertion that can't fail is INVALID under the control that should have turned it red."""
    verdict = _verdict(Green(), replace(RECORD, control=Control.NO_FAULT))
    assert verdict.vacuous
    assert verdict.outcome is Outcome.INVALID
    assert _verdict(Green(), replace(RECORD, control=Control.NO_MITIGATION)).outcome is Outcome.PASS


def test_a_check_that_breaks_is_an_error() -> None:
    """A broken check has proven nothing, and does not take the others with it."""
    assert _verdict(Broken(), RECORD).outcome is Outcome.ERROR


def test_a_check_of_another_version_is_an_error() -> None:
    """A claim that this version can't read is never skipped."""
    judgement = judge.judge(replace(RECORD, checks=({"kind": "from.the.future"},)))
    assert judgement.outcome is Outcome.ERROR


def test_a_moved_clock_makes_times_unknown() -> None:
    """Where the wall clock was stepped during the run, instants of different processes can't be compared."""
    assert claims(replace(RECORD, clock_drift=-3.0))["the machine's clock ran evenly"] is Outcome.UNKNOWN


def test_a_story_that_was_cut_short_never_passes() -> None:
    """A run that gave up waiting is UNKNOWN even where every claim could be judged."""
    event = Event(at=1010.0, kind=judge.ABANDONED, subject="Prometheus is gone")
    assert claims(replace(RECORD, events=(event,)))["the story was told to its end"] is Outcome.UNKNOWN


@pytest.mark.parametrize("kind", ["fault", "load", "step"])
def test_what_the_timeline_tells_of_must_have_its_account(kind: SpanKind) -> None:
    """A fault, load or step whose own record is missing was judged by nobody: that is never a pass."""
    span = Span(name="it", kind=kind, began=1001.0, ended=1002.0)
    assert claims(replace(RECORD, windows=(span,)))["the record is whole"] is Outcome.UNKNOWN


def test_a_record_frozen_in_the_middle_is_not_whole() -> None:
    """A window that never ended shows that the story went on after it was judged."""
    span = Span(name="calm", kind="observe", began=1001.0)
    assert claims(replace(RECORD, windows=(span,)))["the record is whole"] is Outcome.UNKNOWN
    assert "the record is whole" not in claims(replace(RECORD, windows=(replace(span, ended=1002.0),)))


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_claims_that_were_taken_out_are_missed(kept: int) -> None:
    """A record with fewer claims than were made, or others, is not whole."""
    made = [encode_check(check) for check in CHECKS[:2]]
    event = Event(at=1010.0, kind=judge.CLAIMED, subject="2 claims", details={"sha256": judge.fingerprint(made)})
    found = claims(replace(RECORD, events=(event,), checks=tuple(made[:kept])))
    assert ("the record is whole" in found) is (kept < 2)


def test_a_drift_that_is_no_number_is_unknown() -> None:
    """NaN is smaller than nothing: it must not pass for an even clock."""
    assert claims(replace(RECORD, clock_drift=float("nan")))["the machine's clock ran evenly"] is Outcome.UNKNOWN


@pytest.mark.parametrize("control", [Control.NO_FAULT, Control.NO_MITIGATION])
def test_a_control_that_leaves_nothing_out_is_invalid(control: Control) -> None:
    """A control of a scenario without fault or steps is the same run again, and shows nothing."""
    assert claims(replace(RECORD, control=control))["the control changed the story"] is Outcome.INVALID


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], Outcome.UNKNOWN),
        ([Outcome.PASS], Outcome.PASS),
        ([Outcome.PASS, Outcome.FAIL], Outcome.FAIL),
        ([Outcome.UNKNOWN, Outcome.FAIL], Outcome.UNKNOWN),
        ([Outcome.INVALID, Outcome.FAIL, Outcome.UNKNOWN], Outcome.INVALID),
        (list(Outcome), Outcome.ERROR),
    ],
)
def test_the_worst_outcome_wins(outcomes: list[Outcome], expected: Outcome) -> None:
    """PASS < FAIL < UNKNOWN < INVALID < ERROR, and nothing at all is UNKNOWN."""
    assert worst(outcomes) is expected


@pytest.mark.parametrize(("outcome", "status"), list(zip(Outcome, (0, 1, 3, 4, 5), strict=True)))
def test_each_outcome_has_its_exit_status(outcome: Outcome, status: int) -> None:
    """0 PASS, 1 FAIL, 3 UNKNOWN, 4 INVALID, 5 ERROR; 2 is left to usage errors."""
    assert outcome.exit_code == status
