"""A checkpoint: what it claims, and when it was begun too late to tell."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from harness import Checkpoint, Control, Outcome, Record, Scenario, Slo, UsageError, Window, minutes, percent, seconds
from harness.checkpoint import BegunWithin
from harness.judge import encode_check, verdict_on
from harness.model.timeline import Span
from tests.benchmark.build import BENCHMARK
from tests.levels.build import CPU

OBJECTIVE, LIMIT = Slo.recovery(error_503=percent(1), mean=seconds(2)), CPU.below(1)
POINT = Checkpoint("early", minutes(5), minutes(3), (OBJECTIVE, LIMIT, BENCHMARK), look=("look-health",))
WINDOW, RECOVERED = Window("early"), Window("outage").end
BEGUN = BegunWithin(window="early", within=300.0, of=RECOVERED)


def told(*spans: Span) -> Record:
    return Record(
        run_id="1",
        scenario=Scenario(name="s", hypothesis="h"),
        control=Control.NONE,
        time_scale=60.0,
        seed=1,
        runtime="fake",
        began=900.0,
        ended=2000.0,
        windows=spans,
    )


OUTAGE = Span(name="outage", kind="fault", began=950.0, ended=1000.0)


def early(began: float) -> Span:
    return Span(name="early", kind="observe", began=began, ended=began + 3)


def test_it_claims_all_that_must_hold_in_its_own_window() -> None:
    """First that it was begun in time, then each thing that must hold, as if it had been claimed by itself."""
    claims = POINT.claims(WINDOW, RECOVERED)
    assert claims == (BEGUN, OBJECTIVE.during(WINDOW), LIMIT.during(WINDOW), BENCHMARK.during(WINDOW))
    assert POINT.benchmarks == (BENCHMARK,)


@pytest.mark.parametrize(
    ("record", "outcome", "said"),
    [
        (told(OUTAGE, early(1000.1)), Outcome.PASS, "begun 6 s after it"),
        (told(OUTAGE, early(1005.0)), Outcome.PASS, "begun 5 min after it"),
        (told(OUTAGE, early(1005.1)), Outcome.UNKNOWN, "begun 5 min 6 s after it: nobody looked in time"),
        (told(OUTAGE, early(999.0)), Outcome.UNKNOWN, "begun 1 min before that"),
        (told(OUTAGE), Outcome.UNKNOWN, "early never came"),
        (told(early(1001.0)), Outcome.UNKNOWN, "the end of outage never came"),
    ],
)
def test_what_was_begun_too_late_proves_nothing(record: Record, outcome: Outcome, said: str) -> None:
    """The deadline is runbook time; late, or before recovery, nobody looked when it mattered."""
    verdict = BEGUN.judge(record)
    assert (verdict.outcome, verdict.observed) == (outcome, said)
    assert verdict_on(json.loads(json.dumps(encode_check(BEGUN))), record) == verdict


@pytest.mark.parametrize(
    ("within", "watch", "holds", "said"),
    [
        (seconds(0), minutes(1), (OBJECTIVE,), "above zero"),
        (minutes(5), seconds(0), (OBJECTIVE,), "above zero"),
        (minutes(5), minutes(1), (), "neither claims anything nor looks"),
    ],
)
def test_one_that_proves_nothing_is_refused(within: timedelta, watch: timedelta, holds: tuple[()], said: str) -> None:
    """A checkpoint that could never be red is refused where it is written down."""
    with pytest.raises(UsageError, match=said):
        Checkpoint("early", within, watch, holds)
