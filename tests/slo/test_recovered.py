"""Recovered in time: the claim with its two limits, what it must not pass, and what makes it turn red."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import TypeAdapter

from harness.errors import UsageError
from harness.model.load import Sample
from harness.model.record import FaultRecord, Record
from harness.model.timeline import Moment, Span, Window
from harness.model.units import minutes, percent, seconds
from harness.model.verdict import Control, Outcome
from harness.slo import RecoveredWithin, Slo
from tests.slo.build import BEGAN, RATE, fault, load, record, sample, span, spoilt, steady

RECOVERED = Slo.recovery(error_503=percent(1), mean=seconds(2))
FAULT, STEP = Window("f"), Window("m")


def _run(
    samples: Sequence[Sample], *, faults: Sequence[FaultRecord] | None = None, ended: float = 40.0, **changed: object
) -> Record:
    """40 wall seconds, a fault from 5 to 30 and a step from 8 to 10."""
    windows: Sequence[Span] = [span("f", 5, 30), span("m", 8, 10), span("open", 11, None)]
    run = record(samples, ended=ended, windows=windows, faults=[fault(5, 30)] if faults is None else faults)
    return replace(run, **changed)  # type: ignore[arg-type]  # its own fields


def _outage(began: float, ended: float, *, until: float = 40.0) -> list[Sample]:
    return [*steady(0, began), *steady(began, ended, status=503), *steady(ended, until)]


def _within(limit: timedelta, of: Moment = STEP.end, by: Moment | None = FAULT.end) -> RecoveredWithin:
    return RECOVERED.within(limit, of, by)


@pytest.mark.parametrize(
    ("samples", "check", "outcome", "said"),
    [
        (_outage(5, 12), _within(minutes(5)), Outcome.PASS, "recovered after 2 min ± "),
        (_outage(5, 12), _within(minutes(1.9)), Outcome.FAIL, "recovered after 2 min"),
        (_outage(5, 12), _within(minutes(1.99)), Outcome.UNKNOWN, "too near the limit to tell"),
        (_outage(5, 9), _within(minutes(5)), Outcome.PASS, "recovered after 0 s"),  # before the step had ended
        (_outage(5, 30), _within(minutes(60)), Outcome.FAIL, "not recovered by the end of f"),  # the heal helped
        (_outage(5, 28), _within(minutes(60)), Outcome.UNKNOWN, "needs 299"),  # too short to have held
        (_outage(5, 30), _within(minutes(21), by=None), Outcome.PASS, "recovered after 20 min"),
        (_outage(5, 40), _within(minutes(20), by=None), Outcome.FAIL, "not recovered by the end of the load"),
        (_outage(5, 40), _within(minutes(40), by=None), Outcome.UNKNOWN, "not recovered when the load ended"),
        (steady(0, 40), _within(minutes(5)), Outcome.FAIL, "never hit"),
        (_outage(1, 3), _within(minutes(5)), Outcome.FAIL, "never hit"),  # before the fault: not its doing
        (_outage(5, 12), _within(minutes(5), of=FAULT.start), Outcome.FAIL, "recovered after 7 min"),
    ],
)
def test_when_users_were_well_again(
    samples: Sequence[Sample], check: RecoveredWithin, outcome: Outcome, said: str
) -> None:
    """Recovery passes where it came in time and held, and fails where it came late or by the fault's own end."""
    verdict = check.judge(_run(samples))
    assert verdict.outcome is outcome, verdict
    assert said in verdict.observed


@pytest.mark.parametrize("how", [{"status": 500}, {"status": 0}, {"ok": False}, {"took": None, "waited": 20.0}])
def test_no_503_is_no_recovery(how: dict[str, object]) -> None:
    """A service that stops answering 503 and answers wrongly, or not at all, has not recovered."""
    samples = [*steady(0, 5), *steady(5, 12, status=503), *steady(12, 40, **how)]  # type: ignore[arg-type]  # sample's own keywords
    assert _within(minutes(5)).judge(_run(samples)).outcome is Outcome.FAIL


def test_named_requests_recover_by_themselves() -> None:
    """Requests that are not named may fail to the end; named ones that nobody sent recover from nothing."""
    others = [replace(each, name="GET /search") for each in steady(0, 40, status=503)]
    run = _run([*_outage(5, 12), *others])
    assert _within(minutes(5)).judge(run).outcome is Outcome.FAIL
    named = RECOVERED.on("GET /").within(minutes(5), STEP.end, FAULT.end)
    assert named.judge(run).outcome is Outcome.PASS
    verdict = RECOVERED.on("GET /x").within(minutes(5), STEP.end).judge(run)
    assert (verdict.outcome, verdict.observed) == (
        Outcome.UNKNOWN,
        "no request is called GET /x; there are GET /, GET /search",
    )


def test_a_relapse_moves_the_recovery_behind_it() -> None:
    """A relapse before `by` makes recovery later, and is reported."""
    samples = [*_outage(5, 12, until=20), *steady(20, 22, status=503), *steady(22, 40)]
    verdict = _within(minutes(15)).judge(_run(samples))
    assert verdict.outcome is Outcome.PASS
    assert "recovered after 12 min" in verdict.observed
    assert "with 1 relapse before" in verdict.observed
    assert "relapse: 10 min after the end of m" in verdict.evidence


def test_a_relapse_after_by_is_not_held_against_it() -> None:
    """What happens after `by` is another claim's business."""
    samples = [*_outage(5, 12, until=32), *steady(32, 34, status=503), *steady(34, 40)]
    assert _within(minutes(5)).judge(_run(samples)).outcome is Outcome.PASS
    assert _within(minutes(5), by=None).judge(_run(samples)).outcome is Outcome.FAIL


def test_recovery_must_hold_with_confidence() -> None:
    """After recovery the limits must be shown, not merely not refuted: failures all along leave it open."""
    rest = spoilt(steady(12, 30), [sample(0, status=503)] * 14)  # 0.8 % of 1800, evenly spread
    samples = [*steady(0, 5), *steady(5, 12, status=503), *rest, *steady(30, 40)]
    verdict = _within(minutes(5)).judge(_run(samples))
    assert verdict.outcome is Outcome.UNKNOWN
    assert "afterwards" in verdict.observed


def _lost(samples: Sequence[Sample], **how: object) -> Record:
    return _run(samples, loads=(load(samples, 40.0, **how),))


FINE = _outage(5, 12)


@pytest.mark.parametrize(
    ("run", "check", "said"),
    [
        (_lost(FINE, complete=False), _within(minutes(5)), "did not sign off"),
        (_run(FINE, loads=()), _within(minutes(5)), "no load"),
        (_lost(FINE, samples_count=4001), _within(minutes(5)), "4000 are here"),
        (_lost(FINE, planned=6000), _within(minutes(5)), "target rate not reached"),
        (_run([s for s in FINE if not 15 <= s.planned - BEGAN < 25]), _within(minutes(5)), "no arrivals for 50.1 %"),
        (_run(FINE, windows=()), _within(minutes(5)), "the end of m never came"),
        (_run(FINE), _within(minutes(5), by=Window("open").end), "the end of open never came"),
        (_run(FINE), _within(minutes(5), by=FAULT.start), "did not come after the end of m"),
        (_run(steady(0, 40, rate=3)), _within(minutes(5), of=Moment("m", "end")), "too few samples"),
        (_run([]), _within(minutes(5)), "no samples"),
    ],
)
def test_spoilt_evidence_is_unknown(run: Record, check: RecoveredWithin, said: str) -> None:
    """Without sound samples, or an instant to count from, nothing is known of a recovery."""
    verdict = check.judge(run)
    assert verdict.outcome is Outcome.UNKNOWN, verdict
    assert said in verdict.observed
    assert check.time(run) is None


def test_time_is_told_in_runbook_and_wall_time() -> None:
    """The recovery's time is wall time times the scale, with the bracket as its resolution and the instant itself."""
    time = _within(minutes(5)).time(_run(_outage(5, 12)))
    assert time is not None
    assert time.wall_seconds == pytest.approx(2.0)
    assert time.value_seconds_runbook == pytest.approx(120.0)
    assert 0 < time.resolution_seconds <= 60 * 4 / RATE + 1e-6
    assert time.at == BEGAN + 12.0
    assert time.said == "from the end of m until users were well again"


def test_latencies_are_never_scaled() -> None:
    """At time scale 60 an answer that takes 1 s is a second late, not a minute."""
    samples = [*steady(0, 5), *steady(5, 12, status=503), *steady(12, 40, took=1.0)]
    assert _within(minutes(5)).judge(_run(samples)).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("by", "faults", "red"),
    [
        (FAULT.end, [fault(5, 30)], {Control.NO_FAULT, Control.NO_MITIGATION}),
        (FAULT.start, [fault(5, 30)], {Control.NO_FAULT}),
        (None, [fault(5, 30)], {Control.NO_FAULT}),
        (Window("w").end, [fault(5, 30)], {Control.NO_FAULT}),
        (FAULT.end, [fault(None, None)], {Control.NO_FAULT, Control.NO_MITIGATION}),
    ],
)
def test_what_turns_it_red(by: Moment | None, faults: Sequence[FaultRecord], red: set[Control]) -> None:
    """Recovery before the fault's end hangs on the mitigation; any recovery hangs on the fault."""
    assert _within(minutes(5), by=by).red_under(_run(FINE, faults=faults)) == red


def test_controls_turn_it_red() -> None:
    """Without the fault nobody is hit, and without the mitigation only the fault's end helps: neither passes."""
    check = _within(minutes(5))
    skipped = _run(steady(0, 40), faults=[fault(None, None)], control=Control.NO_FAULT)
    unmitigated = _run(_outage(5, 30), control=Control.NO_MITIGATION)
    assert check.judge(skipped).outcome is Outcome.FAIL
    assert check.judge(unmitigated).outcome is Outcome.FAIL


@pytest.mark.parametrize("by", [None, FAULT.end])
def test_a_check_survives_json(by: Moment | None) -> None:
    """A check comes back from its JSON form as it was."""
    check = _within(minutes(5), by=by)
    adapter = TypeAdapter(RecoveredWithin)
    assert adapter.validate_json(adapter.dump_json(check)) == check


def test_nothing_recovers_within_no_time() -> None:
    """A limit of zero or less is refused before the run."""
    with pytest.raises(UsageError, match="nothing recovers"):
        _within(timedelta(0))
